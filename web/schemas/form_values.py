"""Text and numbers of forms that every database can keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

LARGEST_ID: Final = 2**31 - 1


class CleanText(fields.String):
    """Text without what no database keeps: NUL, and halves of characters."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **more)
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValidationError("Contains invalid characters.")
        return text


def an_id(means: str, **more: Any) -> fields.Integer:
    """A field that holds an id of the database."""
    return fields.Integer(
        load_default=None,
        allow_none=True,
        validate=validate.Range(0, LARGEST_ID),
        metadata={"description": means},
        **more,
    )
