"""Sessions that were signed out before their cookie ran out."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from database.accounts.api_keys import digest_of
from database.accounts.models import EndedSession
from database.accounts.people import utc_now

LONGEST: Final = timedelta(days=90)  # after signing in, however often the session was used


def end_session(session: Session, identifier: str) -> None:
    """End one session: a copy of its cookie is valid no more. Ending it twice does nothing."""
    now = utc_now()
    session.execute(delete(EndedSession).where(EndedSession.ended < now - LONGEST))  # they have run out by themselves
    session.merge(EndedSession(digest=digest_of(identifier), ended=now))


def has_ended(session: Session, identifier: str) -> bool:
    """Return whether a session was signed out."""
    return session.get(EndedSession, digest_of(identifier)) is not None
