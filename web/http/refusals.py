"""Why a caller is turned away. `web.http.errors` has the statuses; other contracts shape them in their own way."""

from __future__ import annotations

from collections.abc import Mapping

from retrieval.errors import FungariumError, IdentificationError


class Refusal(FungariumError):
    """A caller is turned away; `headers` go with the answer."""

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})


class NotSignedIn(Refusal):
    """Nobody in particular asks for what only some may have, or with a key that opens nothing."""


class NotAllowed(Refusal):
    """The caller is known and may not do what was asked."""


class QuotaSpent(Refusal):
    """The caller has had today's share."""


class TooManyAttempts(Refusal):
    """Somebody tries passwords."""


class UnknownAnswer(IdentificationError):
    """There is no kept answer at this address, or its time is over."""


class UnknownExport(FungariumError):
    """There is no such archive."""


class RemoteServersBusy(FungariumError):
    """Other requests are already waiting for other servers' photos."""
