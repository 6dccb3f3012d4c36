"""Serves the application with gunicorn: one process per core, each with threads.

The threads of a process share an open snapshot, a model and its batches. This is also a configuration file for
gunicorn's own command: `gunicorn -c python:web.gunicorn 'app:create()'`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, MutableMapping
from contextlib import closing, suppress
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from web.http.logging import FORMATS, format_greeting, make_formatter, start_logging

MOST_WORKERS: Final = 4  # by default: each has its own model in memory
METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


CORES: Final = "FUNGARIUM_CORES"
MMAP_THRESHOLD, ARENA_MAX = -3, -8  # of mallopt(3)
LARGE_BLOCK, ARENAS = 1 << 18, 4
ARITHMETIC: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Read by the libraries of NumPy and FAISS once, when a worker loads them."""


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_workers() -> int:
    """Return the default number of workers: one per core, up to MOST_WORKERS."""
    return min(MOST_WORKERS, count_cores())


def share_cores(environment: MutableMapping[str, str], workers: int) -> None:
    """Divide the cores among the workers, for the model, the search and arithmetic; variables already set are kept.

    Otherwise the libraries of every worker would use all cores, and the workers would compete for them.
    """
    if environment.get(CORES, "0").strip() in {"", "0"}:
        environment[CORES] = str(max(1, count_cores() // workers))
    for name in ARITHMETIC:
        environment.setdefault(name, environment[CORES])


def log_format() -> str:
    """Return the format of the log, before the settings have been read."""
    return os.environ.get("FUNGARIUM_LOG", FORMATS[0])


class ServerLog(Logger):  # type: ignore[misc] # gunicorn has no type information
    """gunicorn's own log, in the format of ours."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(make_formatter(log_format()))


worker_class = "gthread"
workers = count_workers()
threads = 80
preload_app = False  # FAISS hangs after a fork if it was used before
timeout = 60  # seconds without a heartbeat of the worker itself; a request may take longer
graceful_timeout = 30  # seconds for running requests to finish
keepalive = 5  # seconds
loglevel = "warning"
logger_class = ServerLog
limit_request_line = 8190
limit_request_field_size = 8190
control_socket_disable = True  # an unneeded socket in the home directory


def on_starting(server: Any) -> None:
    """Prepare the log, and the environment of workers: their share of the cores, and the folder for shared metrics."""
    start_logging(log_format(), "info")
    share_cores(os.environ, server.cfg.workers)
    if not os.environ.get(METRICS_FOLDER):
        server.metrics_folder = os.environ[METRICS_FOLDER] = tempfile.mkdtemp(prefix="fungarium-metrics-")


def when_ready(server: Any) -> None:
    """Print the server's URL."""
    for listener in server.LISTENERS:
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        print(format_greeting(log_format(), address, on_terminal=sys.stdout.isatty()), flush=True)


def post_fork(_: Any, __: Any) -> None:
    """Make the worker give large blocks of memory back to the system when they are freed, where glibc is used.

    By default its allocator keeps more the larger what was freed, in as many arenas as there are threads.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, LARGE_BLOCK)
        library.mallopt(ARENA_MAX, ARENAS)


def post_worker_init(worker: Any) -> None:
    """Open model and snapshot at once, in the worker, so that the first request does not wait for them.

    Then compute the scores that a killed worker left. This runs in a thread, because the worker's main thread must
    send heartbeats meanwhile.
    """
    application: Flask = worker.wsgi

    def begin() -> None:
        application.extensions["services"].published.health()
        application.extensions["rescoring"].wake()

    threading.Thread(target=begin, daemon=True).start()


def child_exit(_: Any, worker: Any) -> None:
    """Remove the gauges of a worker that has ended; its counters stay in the totals."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # of prometheus_client


def on_exit(server: Any) -> None:
    """Remove the folder of the metrics."""
    folder = getattr(server, "metrics_folder", None)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


HOOKS_AND_OPTIONS: Final = (
    "worker_class",
    "preload_app",
    "timeout",
    "graceful_timeout",
    "keepalive",
    "loglevel",
    "logger_class",
    "limit_request_line",
    "limit_request_field_size",
    "control_socket_disable",
    "on_starting",
    "when_ready",
    "post_fork",
    "post_worker_init",
    "child_exit",
    "on_exit",
)


class Server(BaseApplication):  # type: ignore[misc] # gunicorn has no type information
    """gunicorn, started from Python instead of its command."""

    def __init__(self, create: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._create = create
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._create()


def find_trouble(host: str, port: int) -> str:
    """Return why an address cannot be listened on, in a sentence; empty if it can."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        reason = error.strerror or str(error)
        return (
            f"the server cannot listen at {host}, port {port} ({reason}); "
            "choose another with FUNGARIUM_HOST and FUNGARIUM_PORT, or stop the program that listens there"
        )
    return ""


def serve(create: Callable[[], Flask], *, host: str, port: int, threads: int, workers: int = 0) -> int:
    """Serve until stopped by a signal; `create` makes the application in the worker, after the fork.

    `workers` 0 means one per core. Returns the exit status: 1 if the address cannot be listened on.
    """
    trouble = find_trouble(host, port)
    if trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 1
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    options = {name: globals()[name] for name in HOOKS_AND_OPTIONS}
    Server(create, options | {"bind": address, "threads": threads, "workers": workers or count_workers()}).run()
    return 0
