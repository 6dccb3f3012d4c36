"""Form fields for text and numbers that every database can store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

UUID: Final = validate.Regexp(
    r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", error="This is no UUID, such as a client makes one."
)
LARGEST_ID: Final = 2**31 - 1


class CleanText(fields.String):
    """Text without characters that databases cannot store: NUL, and lone surrogates."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **more)
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValidationError("Contains invalid characters.")
        return text


class EmptyableText(CleanText):
    """Text that may be empty; null says the same."""

    def __init__(self, **more: Any) -> None:
        super().__init__(allow_none=True, **more)

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **more: Any
    ) -> Any:
        return super().deserialize("" if value is None else value, attr, data, **more)


class YesOrNo(fields.Boolean):
    """A wish; null and an unticked box say that it is none."""

    def __init__(self, **more: Any) -> None:
        super().__init__(allow_none=True, **more)

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **more: Any
    ) -> Any:
        return super().deserialize(False if value is None or value == "" else value, attr, data, **more)


def an_id(means: str, **more: Any) -> fields.Integer:
    """Return a field for an id of the database."""
    return fields.Integer(
        load_default=None,
        allow_none=True,
        validate=validate.Range(0, LARGEST_ID),
        metadata={"description": means},
        **more,
    )
