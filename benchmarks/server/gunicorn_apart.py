"""gunicorn's configuration for `benchmarks.server.load --apart`: the server's, each worker in a session of its own.

Linux gives every session an equal part of a busy machine (autogroup), however many processes are in it. Two workers of
one session are then worth no more than one, which is not so on a machine that serves and does nothing else.
"""

from __future__ import annotations

import os
from typing import Any

from web.gunicorn import *  # noqa: F403 - gunicorn reads a configuration's names


def post_fork(_server: Any, _worker: Any) -> None:
    """Leave the arbiter's session."""
    os.setsid()
