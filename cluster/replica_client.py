"""The client of one shard: batches concurrent requests into calls, and retries on another replica if one fails or lags.

It does not depend on Ray: it works with any `Replica`. It has no threads of its own: replies arrive in the transport's
threads, and callers keep their own timeouts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from cluster.messages import Answer, Replica, ShardReply, ShardRequest, describe_replica
from retrieval.errors import FungariumError, ShardUnavailable

CALLS: Final = 2  # in flight to one replica; later requests are batched into the next call
VIEWS: Final = 64  # in one call, at most
RESTS: Final = 0.5  # seconds for which a failed replica is the last choice

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Job:
    """A request in flight, and the replicas it was sent to."""

    request: ShardRequest
    answer: Future[ShardReply] = field(default_factory=Future)
    tried: list[ReplicaState] = field(default_factory=list)
    pending: list[ReplicaState] = field(default_factory=list)  # replicas that may still answer
    error: FungariumError | None = None  # the latest one


@dataclass(eq=False, slots=True)
class ReplicaState:
    """A replica as its client sees it."""

    replica: Replica
    calls: set[int] = field(default_factory=set)  # in flight and not given up
    waiting: list[Job] = field(default_factory=list)
    rests_until: float = 0.0  # monotonic clock
    late: bool = False  # missed a deadline and has not answered since: it gets no requests
    failed: bool = False  # as the log says: it has not answered since


def ignore_outcome(outcome: str) -> None:
    """Do nothing."""


class ReplicaClient:
    """Sends requests to one shard, through any of its replicas. Thread-safe."""

    def __init__(self, shard: int, replicas: Sequence[Replica], watch: Callable[[str], None] = ignore_outcome) -> None:
        """`watch` is called with the outcome of each call: answered, failed, hedged or late."""
        self.shard = shard
        self._states = [ReplicaState(replica) for replica in replicas]
        self._lock = threading.Lock()
        self._watch = watch
        self._turn = self._call = 0

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """The replicas of the shard."""
        return tuple(state.replica for state in self._states)

    def submit(self, request: ShardRequest) -> Job:
        """Send a request to the least loaded replica."""
        job = Job(request)
        self._send(job)
        return job

    def hedge(self, job: Job) -> None:
        """Send an unanswered request to another replica as well, if there is one."""
        if not job.answer.done() and self._send(job):
            self._watch("hedged")

    def give_up(self, job: Job, seconds: float) -> ShardUnavailable:
        """Stop waiting after `seconds` and mark the replicas as late. Returns the error to raise."""
        silent: list[ReplicaState] = []
        with self._lock:
            for state in job.pending:
                state.late = True
                state.calls.clear()
                if not state.failed:
                    silent.append(state)
                state.failed = True
                if job in state.waiting:
                    state.waiting.remove(job)
            job.answer.cancel()
        self._watch("late")
        for state in silent:
            self._log_failover(state, f"{state.replica.name} gave no answer within {seconds:g} seconds")
        return ShardUnavailable(f"{self._describe()} gave no answer within {seconds:g} seconds")

    def drop(self, job: Job) -> None:
        """Cancel a request whose answer is no longer needed because another shard failed."""
        with self._lock:
            for state in job.pending:
                if job in state.waiting:
                    state.waiting.remove(job)
            job.answer.cancel()

    def welcome(self, replica: Replica) -> None:
        """Use a replica again that was seen alive."""
        with self._lock:
            for state in self._states:
                if state.replica is replica:
                    state.late, state.rests_until = False, 0.0

    def _describe(self) -> str:
        names = ", ".join(state.replica.name for state in self._states)
        return f"part {self.shard} of the references ({names})"

    def _log_failover(self, failed: ReplicaState, reason: str) -> None:
        """Log, once until it answers again, that a replica's requests go to the others, or that none is left."""
        others = [state.replica for state in self._states if state is not failed and not state.failed]
        fields = describe_replica(failed.replica, self.shard)
        fields["goesTo"] = [{"replica": other.name, "node": other.node} for other in others]
        taken_by = ", ".join(other.name for other in others) or "none, as no other replica answers"
        log.warning("searches of shard %d go to %s: %s", self.shard, taken_by, reason, extra={"fields": fields})

    def _send(self, job: Job) -> bool:
        """Send a job to an untried replica. Return False if none is left; a job without pending replicas then fails."""
        with self._lock:
            self._turn += 1
            first = self._turn % max(1, len(self._states))
            order = [*self._states[first:], *self._states[:first]]
            free = [state for state in order if state not in job.tried and not state.late]
            if not free:
                if not job.pending and not job.answer.done():
                    self._fail(job)
                return False
            now = time.monotonic()
            state = min(free, key=lambda state: (state.rests_until > now, len(state.calls) + len(state.waiting)))
            job.tried.append(state)
            job.pending.append(state)
            state.waiting.append(job)
        self._dispatch(state)
        return True

    def _fail(self, job: Job) -> None:
        """Fail a job that no replica can answer."""
        job.answer.set_exception(job.error or ShardUnavailable(f"{self._describe()} cannot be reached"))

    def _dispatch(self, state: ReplicaState) -> None:
        """Send the waiting jobs of a replica in calls of up to VIEWS views, while it has fewer than CALLS in flight."""
        while True:
            with self._lock:
                state.waiting = [job for job in state.waiting if not job.answer.done()]
                if not state.waiting or len(state.calls) >= CALLS:
                    return
                jobs = [state.waiting.pop(0)]
                views = len(jobs[0].request.views)
                while state.waiting and views + len(state.waiting[0].request.views) <= VIEWS:
                    jobs.append(state.waiting.pop(0))
                    views += len(jobs[-1].request.views)
                self._call += 1
                number = self._call
                state.calls.add(number)
            call = state.replica.ask([job.request for job in jobs])
            call.add_done_callback(partial(self._settle, state, jobs, number))

    def _settle(self, state: ReplicaState, jobs: Sequence[Job], number: int, call: Future[list[Answer]]) -> None:
        """Deliver the answers of a call; unanswered jobs go to another replica."""
        error = call.exception()
        answers: Sequence[Answer]
        if error is None:
            answers = call.result()
        elif isinstance(error, FungariumError):
            answers = [error] * len(jobs)
        else:
            answers = [ShardUnavailable(f"{state.replica.name} failed: {error}")] * len(jobs)
        unanswered = []
        with self._lock:
            state.calls.discard(number)
            state.late = False
            state.rests_until = 0.0 if error is None else time.monotonic() + RESTS
            fails_now, state.failed = error is not None and not state.failed, error is not None
            for job, answer in zip(jobs, answers, strict=True):
                if state in job.pending:
                    job.pending.remove(state)
                if job.answer.done():
                    continue
                if isinstance(answer, ShardReply):
                    job.answer.set_result(answer)
                else:
                    job.error = answer
                    unanswered.append(job)
        self._watch("answered" if error is None else "failed")
        if fails_now:
            self._log_failover(state, str(error))
        for job in unanswered:
            self._send(job)
        self._dispatch(state)
