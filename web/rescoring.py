"""Computes the scores that are due after places were obscured or shown, beside the requests of a process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import cast

from flask import current_app

from database.errors import DatabaseError
from database.field.rescoring import rescore_pending
from database.session import Database

log = logging.getLogger(__name__)


class Rescoring:
    """One thread, which starts with the first call of `wake`."""

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database
        self._due, self._ending = threading.Event(), threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Compute what is due. Returns at once."""
        self._due.set()
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="rescoring", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop after the present step; the rest stays due."""
        self._ending.set()
        self._due.set()
        with self._guard:
            if self._thread is not None:
                self._thread.join()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._ending.is_set():
                return
            try:
                rescore_pending(self._database(), stop=self._ending)
            except DatabaseError as error:
                log.info("scores stay due: %s", error)


def rescoring() -> Rescoring:
    """Return the thread of the current application."""
    return cast(Rescoring, current_app.extensions["rescoring"])
