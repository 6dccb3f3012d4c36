"""Passwords, hashed with argon2id. The only module that uses argon2."""

from __future__ import annotations

import threading
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from database.errors import WeakPassword

SHORTEST = 10  # characters; length makes a password hard to guess, composition rules do not
LONGEST = 1000
Hasher = PasswordHasher
STANDARD = Hasher()
"""The library's low-memory parameters of RFC 9106: 64 MiB and three passes."""
_GATE = threading.BoundedSemaphore(2)  # simultaneous hashes: each takes a core and 64 MiB


def hash_password(password: str, hasher: PasswordHasher = STANDARD) -> str:
    """Hash a password for storage. Raises WeakPassword for one that is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise WeakPassword(f"passwords must have {SHORTEST} to {LONGEST:,} characters")
    with _GATE:
        return hasher.hash(_typed(password))


def password_fits(password: str, kept: str, hasher: PasswordHasher = STANDARD) -> bool:
    """Return whether `password` matches a stored hash.

    An empty hash, of a person without a password or an unknown one, takes as long as any other and never matches, so
    that response times do not reveal who has an account.
    """
    try:
        with _GATE:
            return hasher.verify(kept or _nobodys(hasher), _typed(password[: LONGEST + 1])) and bool(kept)
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(kept: str, hasher: PasswordHasher = STANDARD) -> bool:
    """Return whether a hash was made with weaker parameters than the current ones and should be replaced."""
    return hasher.check_needs_rehash(kept)


def _typed(password: str) -> str:
    """Normalise a password, so that composed and decomposed letters are equal."""
    return unicodedata.normalize("NFKC", password)


@cache
def _nobodys(hasher: PasswordHasher) -> str:
    return hasher.hash("nobody has this password")
