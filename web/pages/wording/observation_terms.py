"""Terms of validation and accounts in the visitor's language."""

from __future__ import annotations

from datetime import date, datetime

from flask_babel import format_date, gettext


def status_word(status: str) -> str:
    """Return the name of an observation's status."""
    return str(
        {
            "unidentified": gettext("needs ID"),
            "suggestion": gettext("suggestion"),
            "likely": gettext("likely"),
            "approved": gettext("approved"),
        }.get(status, status)
    )


def certainty_word(certainty: str) -> str:
    """Return the name of a degree of confidence."""
    return str(
        {
            "certain": gettext("certain"),
            "probable": gettext("probable"),
            "possible": gettext("possible"),
        }.get(certainty, certainty)
    )


def verdict_word(kind: str) -> str:
    """Return the verb for an identification's kind, which follows a person's name."""
    return str(
        {
            "propose": gettext("suggested"),
            "agree": gettext("agreed with"),
            "withdraw": gettext("withdrew"),
            "approve": gettext("approved"),
            "unapprove": gettext("withdrew the approval of"),
        }.get(kind, kind)
    )


def role_word(role: str) -> str:
    """Return the name of a role."""
    return str(
        {
            "observer": gettext("observer"),
            "expert": gettext("expert"),
            "administrator": gettext("administrator"),
        }.get(role, role)
    )


def scope_word(scope: str) -> str:
    """Return the name of an API key's permission."""
    return str(
        {
            "identify": gettext("identify photos"),
            "read": gettext("read observations"),
            "write": gettext("add and edit observations"),
            "validate": gettext("identify observations"),
            "administer": gettext("administer this server"),
        }.get(scope, scope)
    )


def day(moment: date | datetime | None) -> str:
    """Format a date in the visitor's language; empty without one."""
    return str(format_date(moment, "medium")) if moment is not None else ""
