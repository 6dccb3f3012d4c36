"""Serves the application with gunicorn: one process that answers in threads.

Threads share one open snapshot and one model. Also a configuration file for gunicorn's own command:
`gunicorn -c python:web.gunicorn 'app:create()'`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

worker_class = "gthread"
workers = 1
threads = 4
preload_app = False  # FAISS that was used before a fork hangs after it
timeout = 60  # seconds without a sign of life from the worker itself; a request may take longer
graceful_timeout = 30  # seconds that running requests are given to end
keepalive = 5  # seconds
loglevel = "warning"
control_socket_disable = True  # a socket in the home folder that nobody asked for


def when_ready(server: Any) -> None:
    """Say where the server is, in words to click on."""
    for listener in server.LISTENERS:
        host, port = listener.getsockname()[:2]
        print(
            f"Fungarium answers at http://{f'[{host}]' if ':' in host else host}:{port}/ (Ctrl+C ends it)", flush=True
        )


def post_worker_init(worker: Any) -> None:
    """Open model and snapshot at once, in the worker, so that the first person does not wait for them.

    Beside the worker's own thread: it must give signs of life meanwhile.
    """
    application: Flask = worker.wsgi
    threading.Thread(target=application.extensions["services"].published.health, daemon=True).start()


class Server(BaseApplication):  # type: ignore[misc] # gunicorn has no type information
    """gunicorn, started from Python rather than by its command."""

    def __init__(self, create: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._create = create
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._create()


def serve(create: Callable[[], Flask], *, host: str, port: int, threads: int) -> None:
    """Serve until a signal ends it; `create` makes the application in the worker, after the fork."""
    named = (
        "worker_class",
        "workers",
        "preload_app",
        "timeout",
        "graceful_timeout",
        "keepalive",
        "loglevel",
        "control_socket_disable",
        "when_ready",
        "post_worker_init",
    )
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    options = {name: globals()[name] for name in named} | {"bind": address, "threads": threads}
    Server(create, options).run()
