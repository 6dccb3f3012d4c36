"""The secret that signs sessions: made once, kept in a file that only its owner reads."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path
from typing import Final

from retrieval.errors import SettingsError

SECRET: Final = 32  # bytes
log = logging.getLogger(__name__)


def read_secret(file: Path) -> bytes:
    """Read the secret, making it the first time. Several workers that start at once agree on one.

    Where the file can be neither read nor made, sessions are signed with a secret that ends with this process.
    Raises SettingsError for a file that is too short to be one.
    """
    try:
        if not file.exists():
            make_secret(file)
        found = file.read_bytes()
    except OSError as error:
        log.warning("%s: %s; whoever signs in is signed out by the next restart", file, error.strerror or error)
        return secrets.token_bytes(SECRET)
    if len(found) < SECRET:
        raise SettingsError(f"{file} has {len(found)} bytes and is no secret: it needs {SECRET} at least")
    return found


def make_secret(file: Path) -> None:
    """Write a new secret; whoever comes first wins, and nobody ever sees half of one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(SECRET))
            stream.flush()
            os.fsync(stream.fileno())
        os.link(unfinished, file)  # fails where another worker was first
    except FileExistsError:
        pass
    finally:
        unfinished.unlink()
