"""Metrics for Prometheus. Only this module and `web.gunicorn` import prometheus_client.

Several workers share files in the folder PROMETHEUS_MULTIPROC_DIR, which `web.gunicorn` creates before the workers
start. A single process, as in tests, has its own counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
SHARES: Final = (0.1, 0.25, 0.5, 0.75, 1.0)
STAGES: Final = ("wait", "decode", "embed", "rank")
MEDIA_TYPE: Final = CONTENT_TYPE_LATEST


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Histogram(
            "fungarium_request_seconds",
            "Seconds from the first byte that was read to the answer",
            ["method", "route", "status"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.stages = Histogram(
            "fungarium_stage_seconds",
            "Seconds of an identification: waiting for a decoder, decoding, embedding with its queue, ranking",
            ["stage"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.batch_views = Histogram(
            "fungarium_batch_views", "Views in a batch of the model", buckets=SIZES, registry=self._registry
        )
        self.batch_requests = Histogram(
            "fungarium_batch_requests", "Requests that shared a batch", buckets=SIZES, registry=self._registry
        )
        self.batch_seconds = Histogram(
            "fungarium_batch_seconds", "Seconds of a batch in the model", buckets=SECONDS, registry=self._registry
        )
        self.cache = Counter("fungarium_cache", "Look-ups in the caches", ["cache", "outcome"], registry=self._registry)
        self.refused = Counter(
            "fungarium_refused", "Requests refused: no place, or too late", ["reason"], registry=self._registry
        )
        self.in_hand = Gauge(
            "fungarium_in_hand",
            "Identifications that are being worked on",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.queued = Gauge(
            "fungarium_queued_views",
            "Views that waited for the model when the last batch began",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.shard_calls = Counter(
            "fungarium_shard_calls",
            "Calls to shards on the cluster: answered, failed, late, or sent to another replica too",
            ["part", "outcome"],
            registry=self._registry,
        )
        self.shards_asked = Histogram(
            "fungarium_shards_asked",
            "Share of the cluster's shards that a search called",
            buckets=SHARES,
            registry=self._registry,
        )
        self.replicas_alive = Gauge(
            "fungarium_shard_replicas_alive",
            "Replicas that sent a heartbeat in the last seconds",
            ["part"],
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self.snapshot = Gauge(
            "fungarium_snapshot",
            "1 for the current snapshot and model, 0 for earlier ones",
            ["snapshot", "model"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self.references = Gauge(
            "fungarium_references",
            "Reference photos in the open snapshot",
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self.checks = Gauge(
            "fungarium_check",
            "State of what the server needs, as /readyz shows it: 1 ok, 0.5 degraded, 0 unavailable",
            ["check"],
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self._open: tuple[str, str] | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of an answer, whether it succeeds or fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.stages.labels(name).observe(time.perf_counter() - started)

    def record_batch(self, views: int, requests: int, seconds: float) -> None:
        """Count a batch."""
        self.batch_views.observe(views)
        self.batch_requests.observe(requests)
        self.batch_seconds.observe(seconds)

    def record_lookup(self, cache: str, *, hit: bool) -> None:
        """Count a look-up in a cache."""
        self.cache.labels(cache, "hit" if hit else "miss").inc()

    def record_snapshot(self, name: str, model: str, references: int) -> None:
        """Record the current snapshot."""
        if self._open == (name, model):
            return
        if self._open is not None:
            self.snapshot.labels(*self._open).set(0)
        self._open = (name, model)
        self.snapshot.labels(name, model).set(1)
        self.references.set(references)

    def record_checks(self, states: Mapping[str, str]) -> None:
        """Record the state of each check."""
        for name, state in states.items():
            self.checks.labels(name).set({"ok": 1.0, "degraded": 0.5}.get(state, 0.0))

    def text(self) -> bytes:
        """Return all metrics of all workers in Prometheus format."""
        registry = self._registry
        if os.environ.get(SHARED):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # of prometheus_client
        return generate_latest(registry)
