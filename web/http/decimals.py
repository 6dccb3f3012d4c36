"""Numbers and degrees as people write them in forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import fields, validate

LATITUDES: Final = validate.Range(
    -90, 90, error="Must be between -90 and 90. Latitude and longitude may be the wrong way round."
)


class Decimal(fields.Float):
    """A number; in forms also with a decimal comma, as much of Europe writes it."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> float:
        return super()._deserialize(with_points(value) if isinstance(value, str) else value, attr, data, **more)


def with_points(text: str) -> str:
    """A number with a decimal point in place of its only comma."""
    return text.replace(",", ".") if "." not in text and text.count(",") == 1 else text
