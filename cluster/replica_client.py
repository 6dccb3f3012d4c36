"""The way to one shard: concurrent asks share calls, and where one replica is lost or late another answers.

A lane knows nothing of Ray: it is given replicas. It has no threads: replies come in the transport's, and whoever waits
looks at the clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from cluster.messages import Answer, Replica, ShardReply, ShardRequest
from retrieval.errors import FungariumError, ShardUnavailable

CALLS: Final = 2  # to one replica at a time; what comes meanwhile shares the next
VIEWS: Final = 64  # of a call, at most
RESTS: Final = 0.5  # seconds that a replica which failed is asked last


@dataclass(eq=False, slots=True)
class Job:
    """An ask on its way, and who was given it."""

    ask: ShardRequest
    answer: Future[ShardReply] = field(default_factory=Future)
    tried: list[ReplicaState] = field(default_factory=list)
    pending: list[ReplicaState] = field(default_factory=list)  # that may still answer
    error: FungariumError | None = None  # of the replica that answered last


@dataclass(eq=False, slots=True)
class ReplicaState:
    """A replica as its lane sees it."""

    replica: Replica
    calls: set[int] = field(default_factory=set)  # without a reply, and still waited for
    waiting: list[Job] = field(default_factory=list)
    rests_until: float = 0.0  # of the monotonic clock
    late: bool = False  # gave no answer in time, and no sign of life since: it is asked nothing


def ignore_outcome(outcome: str) -> None:
    """Watch without a word."""


class ReplicaClient:
    """Asks one shard, by whichever of its replicas. Safe for threads."""

    def __init__(self, shard: int, replicas: Sequence[Replica], watch: Callable[[str], None] = ignore_outcome) -> None:
        """`watch` is told what became of each call: answered, failed, hedged or late."""
        self.shard = shard
        self._posts = [ReplicaState(replica) for replica in replicas]
        self._lock = threading.Lock()
        self._watch = watch
        self._turn = self._call = 0

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """Those that hold the shard."""
        return tuple(post.replica for post in self._posts)

    def submit(self, ask: ShardRequest) -> Job:
        """Send an ask to the replica that is likeliest to answer soon."""
        job = Job(ask)
        self._send(job)
        return job

    def hedge(self, job: Job) -> None:
        """Send an ask that is not answered yet to another replica as well, if there is one."""
        if not job.answer.done() and self._send(job):
            self._watch("hedged")

    def give_up(self, job: Job, seconds: float) -> ShardUnavailable:
        """Nobody waits any more: whoever was asked is late. Gives the error to raise."""
        with self._lock:
            for post in job.pending:
                post.late = True
                post.calls.clear()
                if job in post.waiting:
                    post.waiting.remove(job)
            job.answer.cancel()
        self._watch("late")
        return ShardUnavailable(f"{self._named()} gave no answer within {seconds:g} seconds")

    def drop(self, job: Job) -> None:
        """Nobody needs the answer any more, since another part failed."""
        with self._lock:
            for post in job.pending:
                if job in post.waiting:
                    post.waiting.remove(job)
            job.answer.cancel()

    def welcome(self, replica: Replica) -> None:
        """A replica was seen alive: it is asked again as the others are."""
        with self._lock:
            for post in self._posts:
                if post.replica is replica:
                    post.late, post.rests_until = False, 0.0

    def _named(self) -> str:
        names = ", ".join(post.replica.name for post in self._posts)
        return f"part {self.shard} of the references ({names})"

    def _send(self, job: Job) -> bool:
        """Give a job to a replica that has not had it; False where there is none, which ends a job nobody has."""
        with self._lock:
            self._turn += 1
            first = self._turn % max(1, len(self._posts))
            order = [*self._posts[first:], *self._posts[:first]]
            free = [post for post in order if post not in job.tried and not post.late]
            if not free:
                if not job.pending and not job.answer.done():
                    self._fail(job)
                return False
            now = time.monotonic()
            post = min(free, key=lambda post: (post.rests_until > now, len(post.calls) + len(post.waiting)))
            job.tried.append(post)
            job.pending.append(post)
            post.waiting.append(job)
        self._dispatch(post)
        return True

    def _fail(self, job: Job) -> None:
        """End a job that nobody can answer."""
        job.answer.set_exception(job.error or ShardUnavailable(f"{self._named()} cannot be reached"))

    def _dispatch(self, post: ReplicaState) -> None:
        """Send what waits for a replica, as much as fits a call, while it may have another."""
        while True:
            with self._lock:
                post.waiting = [job for job in post.waiting if not job.answer.done()]
                if not post.waiting or len(post.calls) >= CALLS:
                    return
                jobs = [post.waiting.pop(0)]
                views = len(jobs[0].ask.views)
                while post.waiting and views + len(post.waiting[0].ask.views) <= VIEWS:
                    jobs.append(post.waiting.pop(0))
                    views += len(jobs[-1].ask.views)
                self._call += 1
                number = self._call
                post.calls.add(number)
            call = post.replica.ask([job.ask for job in jobs])
            call.add_done_callback(partial(self._settle, post, jobs, number))

    def _settle(self, post: ReplicaState, jobs: Sequence[Job], number: int, call: Future[list[Answer]]) -> None:
        """Hand out the answers of a call; what it did not answer goes to another replica."""
        error = call.exception()
        answers: Sequence[Answer]
        if error is None:
            answers = call.result()
        elif isinstance(error, FungariumError):
            answers = [error] * len(jobs)
        else:
            answers = [ShardUnavailable(f"{post.replica.name} failed: {error}")] * len(jobs)
        again = []
        with self._lock:
            post.calls.discard(number)
            post.late = False
            post.rests_until = 0.0 if error is None else time.monotonic() + RESTS
            for job, answer in zip(jobs, answers, strict=True):
                if post in job.pending:
                    job.pending.remove(post)
                if job.answer.done():
                    continue
                if isinstance(answer, ShardReply):
                    job.answer.set_result(answer)
                else:
                    job.error = answer
                    again.append(job)
        self._watch("answered" if error is None else "failed")
        for job in again:
            self._send(job)
        self._dispatch(post)
