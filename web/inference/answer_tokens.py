"""Signed tokens of answers, by which feedback is counted without storing answers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from flask import current_app
from itsdangerous import BadData, URLSafeTimedSerializer

from database.field.feedback import RankedAnswer
from retrieval.errors import InvalidOption

LONGEST: Final = 90 * 86_400  # seconds for which feedback on an answer is accepted
LONGEST_TEXT: Final = 2_000  # characters of a token


def write_answer_token(answer: Mapping[str, Any]) -> str:
    """Sign what is counted of an API answer, with a new random id; empty if it suggests no species."""
    species = answer["species"]
    if not species:
        return ""
    score = species[0]["score"] if answer["calibrated"] else None
    return _serializer().dumps(
        [secrets.token_urlsafe(12), answer["flora"], answer["model"], answer["snapshot"], score, len(species)]
    )


def read_answer_token(token: str) -> RankedAnswer:
    """Return the answer of a token. Raises InvalidOption if it is not one of ours, or too old."""
    try:
        if len(token) > LONGEST_TEXT:
            raise BadData("too long")
        return RankedAnswer(*_serializer().loads(token, max_age=LONGEST))
    except BadData as error:
        raise InvalidOption("this answer is too old for feedback; identify the photos again") from error


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.secret_key or b"", salt="answer feedback")
