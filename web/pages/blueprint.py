"""The blueprint of all pages, and the modules with their routes. A new page is a module listed here."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from flask import Blueprint

blueprint = Blueprint("page", __name__)

ACCOUNTS: Final = ("signing_in", "profile", "keys")
FIELD: Final = ("observations", "observation", "recording", "validate", "verdicts")
RUNNING: Final = ("snapshots", "publishing", "imports", "people", "invitations")
ADMINISTRATION: Final = tuple(f"administration.{page}" for page in RUNNING)
BROWSING: Final = ("identify", "answers", "feedback", "similar", "floras", "species", "atlas", "docs")
MODULES: Final = (*BROWSING, *ACCOUNTS, *FIELD, *ADMINISTRATION)


def load_pages() -> Blueprint:
    """Import every module of pages, and return the blueprint with their routes."""
    for module in MODULES:
        import_module(f"web.pages.{module}")
    return blueprint
