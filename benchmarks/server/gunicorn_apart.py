"""gunicorn's configuration for `benchmarks.server.load --apart`: the server's, with each worker in its own session.

Linux gives every session an equal share of a busy machine (autogroup), whatever its number of processes. Two workers in
one session then get no more than one, unlike on a dedicated server.
"""

from __future__ import annotations

import os
from typing import Any

from web import gunicorn
from web.gunicorn import *  # noqa: F403 - gunicorn reads a configuration's names


def post_fork(server: Any, worker: Any) -> None:  # type: ignore[no-redef] # replaces the server's
    """Leave the arbiter's session, and do what the server does."""
    os.setsid()
    gunicorn.post_fork(server, worker)
