"""Import runs for administrators: progress, accepted records, and rejected records with their reasons."""

from __future__ import annotations

from typing import Final

from flask import render_template, request

from database.collection.import_runs import (
    dropped_page,
    dropped_reasons,
    import_run,
    list_runs,
    rejection_page,
    rejection_reasons,
)
from web.http.access import require
from web.pages.blueprint import blueprint
from web.pages.identify import FRAGMENT
from web.pages.wording.observation_words import imports_words
from web.services import services

RUNS: Final = 50
REJECTIONS: Final = 100  # per page
LARGEST: Final = 2**31 - 1


@blueprint.route("/administration/imports")
@require("administer")
def show_imports() -> str:
    """Show the runs, the latest first; a script requests the table alone while one is running."""
    before = request.args.get("before", 0, type=int)
    with services().database().reading() as session:
        runs = list_runs(session, before=min(before, LARGEST) if before > 0 else None, limit=RUNS + 1)
    template = "imports_fragment.html" if FRAGMENT in request.headers else "imports.html"
    following = runs[RUNS - 1].id if len(runs) > RUNS else None
    return render_template(template, runs=runs[:RUNS], following=following, said=imports_words())


@blueprint.route("/administration/imports/<int(max=2147483647):run>")
@require("administer")
def show_import(run: int) -> str:
    """One run, with the records and the values that it left out by reason."""
    reason, value = request.args.get("reason", ""), request.args.get("value", "")
    after = min(max(0, request.args.get("after", 0, type=int)), LARGEST)
    with services().database().reading() as session:
        entry = import_run(session, run)
        reasons, dropped = rejection_reasons(session, run), dropped_reasons(session, run)
        page = dropped_page if value else rejection_page
        listed = page(session, run, reason=value or reason, after=after, limit=REJECTIONS + 1)
    return render_template(
        "import.html",
        run=entry,
        reasons=reasons,
        dropped=dropped,
        reason="" if value else reason,
        value=value,
        listed=[rejection for _, rejection in listed[:REJECTIONS]],
        following=listed[REJECTIONS - 1][0] if len(listed) > REJECTIONS else None,
    )
