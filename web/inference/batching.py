"""Micro-batching: one thread in front of the model collects the views of concurrent requests.

No maintained library does this for threads in one process (TorchServe, Triton and Ray Serve have their own processes
and protocols), so it is implemented here: a queue, a thread, and futures.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retrieval.models.embedder import Embedder, Embeddings, View
from web.http.admission import Overloaded
from web.http.deadlines import Deadline, DeadlinePassed, current_deadline


@dataclass(frozen=True, slots=True)
class Job:
    """The views of one request, and the future of their embeddings."""

    views: Sequence[View]
    deadline: Deadline
    answer: Future[Embeddings] = field(default_factory=Future)


def ignore_outcome(views: int, requests: int, seconds: float) -> None:
    """Do not record batches."""


def expect_none() -> int:
    """Expect no other request."""
    return 0


class SharedEmbedder:
    """An embedder whose callers share batches. One thread runs the model; it starts with the first call.

    A batch begins when the model is free, with up to `views` waiting views. While `expected()` is larger than the
    number of requests waiting, it waits for more, but at most `wait` seconds; a single request does not wait. Views
    whose deadline has passed are dropped before they are computed.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        views: int = 32,
        wait: float = 0.004,
        waiting: int = 512,
        expected: Callable[[], int] = expect_none,
        watch: Callable[[int, int, float], None] = ignore_outcome,
    ) -> None:
        """At most `waiting` views may queue; `watch` receives the views, requests and seconds of each batch."""
        self._embedder = embedder
        self._views, self._wait, self._waiting = views, wait, waiting
        self._expected, self._watch = expected, watch
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def card(self) -> Mapping[str, Any]:
        return self._embedder.card

    @property
    def short_side(self) -> int:
        return self._embedder.short_side

    @property
    def queued(self) -> int:
        """The number of waiting views."""
        with self._changed:
            return sum(len(job.views) for job in self._jobs)

    def embed(self, views: Sequence[View]) -> Embeddings:
        """Embed the views; raises Overloaded, DeadlinePassed, and the errors of the model."""
        if not views:
            return self._embedder.embed(views)
        job = Job(views, current_deadline())
        left = job.deadline.left()
        self._enqueue(job)
        try:
            return job.answer.result(left)
        except FutureTimeout as error:
            job.answer.cancel()
            raise DeadlinePassed from error
        except CancelledError as error:
            raise DeadlinePassed from error

    def close(self) -> None:
        """Stop the thread after the waiting jobs."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _enqueue(self, job: Job) -> None:
        with self._changed:
            queued = sum(len(other.views) for other in self._jobs)
            if queued and queued + len(job.views) > self._waiting:
                raise Overloaded(f"the server is busy: {queued} photos are waiting; try again in a moment")
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="embedding", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        while (batch := self._gather()) is not None:
            living = [job for job in batch if not self._drop(job)]
            if living:
                self._compute(living)

    def _gather(self) -> list[Job] | None:
        """Return the jobs of the next batch; None after `close`."""
        with self._changed:
            while not self._jobs:
                if self._closed:
                    return None
                self._changed.wait()
            latest = time.monotonic() + self._wait
            while not self._closed and self._worth_waiting() and (left := latest - time.monotonic()) > 0:
                self._changed.wait(left)
            batch = [self._jobs.popleft()]
            size = len(batch[0].views)
            while self._jobs and size + len(self._jobs[0].views) <= self._views:
                batch.append(self._jobs.popleft())
                size += len(batch[-1].views)
            return batch

    def _worth_waiting(self) -> bool:
        return sum(len(job.views) for job in self._jobs) < self._views and len(self._jobs) < self._expected()

    def _drop(self, job: Job) -> bool:
        """Drop the job if its deadline has passed. Returns whether it was dropped."""
        if job.deadline.passed():
            job.answer.cancel()
        return not job.answer.set_running_or_notify_cancel()

    def _compute(self, jobs: Sequence[Job]) -> None:
        """Embed the views of all jobs at once; if that fails, each job alone, so that only the faulty one fails."""
        started = time.perf_counter()
        views = [view for job in jobs for view in job.views]
        try:
            embeddings = self._embedder.embed(views)
        except Exception as error:  # belongs to the request with the faulty view, and must not stop the thread
            if len(jobs) == 1:
                jobs[0].answer.set_exception(error)
            else:
                for job in jobs:
                    self._compute([job])
            return
        self._watch(len(views), len(jobs), time.perf_counter() - started)
        ends = np.cumsum([len(job.views) for job in jobs]).tolist()
        for job, end in zip(jobs, ends, strict=True):
            job.answer.set_result(embeddings[end - len(job.views) : end])
