"""Numbers and degrees as typed into forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import fields, validate

LATITUDES: Final = validate.Range(
    -90, 90, error="Must be between -90 and 90. Latitude and longitude may be the wrong way round."
)


class Decimal(fields.Float):
    """A number; in forms also with a decimal comma, as in much of Europe."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> float:
        return super()._deserialize(with_points(value) if isinstance(value, str) else value, attr, data, **more)


def with_points(text: str) -> str:
    """Return a number with its only comma replaced by a decimal point."""
    return text.replace(",", ".") if "." not in text and text.count(",") == 1 else text
