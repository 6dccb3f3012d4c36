"""Passwords, hashed with argon2id. The only home of argon2."""

from __future__ import annotations

import threading
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from database.errors import WeakPassword

SHORTEST = 10  # characters; length is what makes a password hard to guess, rules of composition are not
LONGEST = 1000
STANDARD = PasswordHasher()
"""The library's parameters, RFC 9106's for little memory: 64 MiB and three passes."""
_GATE = threading.BoundedSemaphore(2)  # hashes at once: each takes a core and 64 MiB, whoever asks for it


def hash_password(password: str, hasher: PasswordHasher = STANDARD) -> str:
    """Hash a password for keeping. Raises WeakPassword for one that is too short, or longer than anybody types."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise WeakPassword(f"passwords must have {SHORTEST} to {LONGEST:,} characters")
    with _GATE:
        return hasher.hash(_typed(password))


def password_fits(password: str, kept: str, hasher: PasswordHasher = STANDARD) -> bool:
    """Whether `password` is the one whose hash was kept.

    An empty hash, of somebody without a password or who does not exist, takes as long as any and never fits:
    from the time it takes nobody learns who has an account.
    """
    try:
        with _GATE:
            return hasher.verify(kept or _nobodys(hasher), _typed(password[: LONGEST + 1])) and bool(kept)
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(kept: str, hasher: PasswordHasher = STANDARD) -> bool:
    """Whether a hash was made with weaker parameters than today's and should be made anew."""
    return hasher.check_needs_rehash(kept)


def _typed(password: str) -> str:
    """The same password whichever keyboard composed its letters."""
    return unicodedata.normalize("NFKC", password)


@cache
def _nobodys(hasher: PasswordHasher) -> str:
    return hasher.hash("nobody has this password")
