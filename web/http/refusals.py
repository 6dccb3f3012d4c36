"""Refusals of callers. `web.http.errors` has the statuses; the APIs of other services format them in their own way."""

from __future__ import annotations

from collections.abc import Mapping

from retrieval.errors import FungariumError, IdentificationError


class Refusal(FungariumError):
    """The caller is refused; `headers` are added to the response."""

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})


class NotSignedIn(Refusal):
    """The caller is anonymous, or has an invalid key, where authentication is needed."""


class NotAllowed(Refusal):
    """The caller is known but lacks the permission."""


class QuotaSpent(Refusal):
    """The caller's daily quota is used up."""


class TooManyAttempts(Refusal):
    """Too many attempts to sign in."""


class ChangedMeanwhile(Refusal):
    """A change was made from something that has been changed since, or from something that has no versions."""


class VersionMissing(Refusal):
    """A change does not say what it was made from."""


class TakenId(Refusal):
    """An id that stands for something else already."""


class UnknownAnswer(IdentificationError):
    """There is no stored answer at this link, or it has expired."""


class UnknownExport(FungariumError):
    """The archive does not exist."""


class RemoteServersBusy(FungariumError):
    """Other requests are already waiting for photos of other servers."""
