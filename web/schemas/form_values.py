"""Form fields for text and numbers that every database can store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

LARGEST_ID: Final = 2**31 - 1


class CleanText(fields.String):
    """Text without characters that databases cannot store: NUL, and lone surrogates."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **more)
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValidationError("Contains invalid characters.")
        return text


def an_id(means: str, **more: Any) -> fields.Integer:
    """Return a field for an id of the database."""
    return fields.Integer(
        load_default=None,
        allow_none=True,
        validate=validate.Range(0, LARGEST_ID),
        metadata={"description": means},
        **more,
    )
