"""Forms that change something carry what they were made from.

Only what was changed in the form is sent on. Where somebody else changed something after the form was opened, nothing
is written: the form comes back with what it is now, what it was, and what this person typed.
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

WAS: Final = "was"  # the hidden field with what the form was made from
TICKED: Final = "true"  # what a ticked box says
BOXES: Final = ("obscured", "obscures", "active")


class EditConflict(Exception):
    """Something was changed after the form was opened; `typed` is what the form shows when it comes back."""

    def __init__(self, now: Mapping[str, str], was: Mapping[str, str], changed: Mapping[str, str]) -> None:
        super().__init__("changed in the meantime")
        self.typed = {**now, **changed}
        self._found = [(name, was.get(name, ""), now[name]) for name in now if differs(now[name], was.get(name, ""))]

    @property
    def problem(self) -> Problem:
        """What is shown above the form, in the visitor's language."""
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
    """What a form is made from, as its hidden field holds it."""
    return json.dumps(as_text(now), ensure_ascii=False)


def as_text(now: Mapping[str, Any]) -> dict[str, str]:
    """Values as a form writes them: nothing is an empty field, yes a ticked box."""
    written = {True: TICKED, False: "", None: ""}
    return {
        name: written[value] if value is None or isinstance(value, bool) else str(value) for name, value in now.items()
    }


def read_edit(now: Mapping[str, Any], form: MultiDict[str, str]) -> dict[str, str]:
    """What a form changes of `now`, which has a value for each field that the form shows.

    Raises VersionMissing where the form does not say what it was made from, EditConflict where that is not `now`.
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
    """Whether two texts of a form differ; browsers write the ends of lines in their own way."""
    return one.replace("\r\n", "\n").strip() != other.replace("\r\n", "\n").strip()


def label(name: str) -> str:
    """The label of a field."""
    return str(LABELS.get(name, name))


def say(name: str, value: str) -> str:
    """A value in words."""
    if name in BOXES:
        return str(gettext("yes") if value else gettext("no"))
    return f"“{value}”" if value else str(gettext("empty"))
