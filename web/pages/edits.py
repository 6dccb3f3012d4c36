"""Forms that edit something, with detection of concurrent changes.

Each form carries the values it was made from, and only changed fields are submitted. If the object was changed after
the form was opened, nothing is written: the form is shown again with the current, previous and typed values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from flask_babel import gettext
from werkzeug.datastructures import MultiDict

from web.http.errors import PROBLEMS_AT, Problem
from web.http.refusals import VersionMissing
from web.pages.wording.problem_words import LABELS

WAS: Final = "was"  # the hidden field with the values that the form was made from
TICKED: Final = "true"  # the value of a ticked box
BOXES: Final = ("obscured", "obscures", "active")


class EditConflict(Exception):
    """The object was changed after the form was opened; `typed` are the values for the form when it is shown again."""

    def __init__(self, now: Mapping[str, str], was: Mapping[str, str], changed: Mapping[str, str]) -> None:
        super().__init__("changed in the meantime")
        self.typed = {**now, **changed}
        self._found = [(name, was.get(name, ""), now[name]) for name in now if differs(now[name], was.get(name, ""))]

    @property
    def problem(self) -> Problem:
        """Return the message shown above the form, in the visitor's language."""
        changes = "; ".join(
            gettext(
                "%(field)s: now %(now)s, before %(was)s",
                field=label(name),
                now=say(name, now),
                was=say(name, was),
            )
            for name, was, now in self._found
        )
        detail = gettext(
            "This was changed after you opened the form (%(changes)s). Nothing of yours has been saved yet. "
            "Check the form, which keeps what you typed, and save again.",
            changes=changes,
        )
        return Problem(412, "Changed in the meantime", detail, PROBLEMS_AT + "changed-meanwhile")


def carried(now: Mapping[str, Any]) -> str:
    """Return the form's original values for its hidden field."""
    return json.dumps(as_text(now), ensure_ascii=False)


def as_text(now: Mapping[str, Any]) -> dict[str, str]:
    """Return values as form text: empty for None, a ticked box for True."""
    written = {True: TICKED, False: "", None: ""}
    return {
        name: written[value] if value is None or isinstance(value, bool) else str(value) for name, value in now.items()
    }


def read_edit(now: Mapping[str, Any], form: MultiDict[str, str]) -> dict[str, str]:
    """Return the fields that a form changes in `now`, which has a value for each field of the form.

    Raises VersionMissing if the form lacks its original values, EditConflict if they differ from `now`.
    """
    try:
        was = {str(name): str(value) for name, value in json.loads(form.get(WAS, "")).items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise VersionMissing("open the form again: it does not say what it was made from") from error
    current = as_text(now)
    typed = {name: form.get(name, "").strip() for name in current}
    changed = {name: value for name, value in typed.items() if differs(value, was.get(name, ""))}
    if changed and any(differs(value, was.get(name, "")) for name, value in current.items()):
        raise EditConflict(current, was, changed)
    return changed


def differs(one: str, other: str) -> bool:
    """Return whether two texts of a form differ, apart from line endings, which vary between browsers."""
    return one.replace("\r\n", "\n").strip() != other.replace("\r\n", "\n").strip()


def label(name: str) -> str:
    """Return the label of a field."""
    return str(LABELS.get(name, name))


def say(name: str, value: str) -> str:
    """Return a value in words."""
    if name in BOXES:
        return str(gettext("yes") if value else gettext("no"))
    return f"“{value}”" if value else str(gettext("empty"))
