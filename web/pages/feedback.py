"""“Was this right?” below an answer: an anonymous count for each answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from flask import render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from database.field.feedback import keep_feedback
from retrieval.errors import InvalidOption
from web.http import access
from web.http.refusals import QuotaSpent
from web.inference.answer_tokens import read_answer_token
from web.inference.kept_answers import NAME
from web.pages.blueprint import blueprint
from web.pages.identify import FRAGMENT
from web.services import services

FEEDBACK_A_DAY: Final = 200  # of visitors of one address


@blueprint.route("/feedback", methods=["POST"])
def give_feedback() -> Response | str:
    """Count what a visitor says of an answer, and thank them.

    The signed token of the answer is needed, which other sites do not know, and no permission is used: so there is
    nothing that a CSRF token would protect. Sent twice, it counts once.
    """
    answer = read_answer_token(request.form.get("answer", ""))
    verdict, rank = request.form.get("verdict", ""), request.form.get("rank", "")
    if verdict == "other" and not (rank.isascii() and rank.isdigit() and len(rank) < 6):
        raise InvalidOption(gettext("Choose the right species, or “None of these”."))
    if services().counts.spend(f"address:{access.address_mark()}", "feedback", FEEDBACK_A_DAY) is None:
        raise QuotaSpent(f"an address may give feedback on {FEEDBACK_A_DAY} answers a day; try again tomorrow")
    with services().database().writing() as session:
        keep_feedback(session, answer, verdict, int(rank) if verdict == "other" else 0, datetime.now(UTC).date())
    if FRAGMENT in request.headers:
        return render_template("thanks_fragment.html")
    kept = request.form.get("kept", "")
    back = url_for("page.show_answer", name=kept) if NAME.fullmatch(kept) else url_for("page.show_form")
    return render_template("thanks.html", back=back, kept=kept)
