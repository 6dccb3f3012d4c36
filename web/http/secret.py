"""The secret key of sessions: created once, in a file that only its owner can read."""

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
    """Read the secret, and create it the first time. Several workers starting at once agree on one.

    If the file can be neither read nor created, sessions are signed with a secret that ends with this process. Raises
    SettingsError if the file is too short.
    """
    try:
        if not file.exists():
            make_secret(file)
        found = file.read_bytes()
    except OSError as error:
        log.warning("%s: %s; a restart will end all sessions", file, error.strerror or error)
        return secrets.token_bytes(SECRET)
    if len(found) < SECRET:
        raise SettingsError(f"{file} is not a secret key: it has {len(found)} bytes, and at least {SECRET} are needed")
    return found


def make_secret(file: Path) -> None:
    """Write a new secret; the first writer wins, and readers never see an incomplete one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(SECRET))
            stream.flush()
            os.fsync(stream.fileno())
        os.link(unfinished, file)  # fails if another worker was first
    except FileExistsError:
        pass
    finally:
        unfinished.unlink()
