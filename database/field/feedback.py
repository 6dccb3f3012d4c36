"""Anonymous feedback on answers: whether the first species was right, counted once for each answer."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database.errors import InvalidVerdict
from database.field.models import AnswerFeedback

VERDICTS: Final = ("yes", "no", "other", "unknown")
"""The first species was right; it was not; another species is right; the visitor does not know."""
BANDS: Final = 10  # of scores, of equal width


@dataclass(frozen=True, slots=True)
class RankedAnswer:
    """What is counted of an answer. `score` is that of the first species, None if it is not calibrated."""

    id: str
    flora: str
    model: str
    snapshot: str
    score: float | None
    suggestions: int

    @property
    def band(self) -> int | None:
        """The tenth in which the score lies, 0 to 9."""
        return None if self.score is None else min(BANDS - 1, max(0, int(self.score * BANDS)))


@dataclass(frozen=True, slots=True)
class BandFeedback:
    """Counts of the answers of one score band."""

    band: int | None
    yes: int
    no: int
    other: int
    unknown: int
    among_five: int  # of `other`, those whose right species was suggested in places 2 to 5


def keep_feedback(session: Session, answer: RankedAnswer, verdict: str, rank: int, day: date) -> None:
    """Store what was said of an answer; said again, it replaces what was said before, and counts once.

    `rank` is the place of the right species among the suggestions if the verdict is `other`, 0 if it is none of them.
    Raises InvalidVerdict.
    """
    if verdict not in VERDICTS:
        raise InvalidVerdict(f"the verdict must be one of {', '.join(VERDICTS)}, not {verdict!r}")
    if verdict == "other" and (rank == 1 or not 0 <= rank <= answer.suggestions):
        raise InvalidVerdict("the right species must be one of the other suggestions, or none of them")
    session.merge(
        AnswerFeedback(
            digest=hashlib.sha256(answer.id.encode()).hexdigest(),
            day=day,
            flora=answer.flora,
            model=answer.model,
            snapshot=answer.snapshot,
            score_band=answer.band,
            verdict=verdict,
            right_rank={"yes": 1, "other": rank}.get(verdict),
        )
    )
    session.flush()


def count_feedback(session: Session, snapshot: str) -> list[BandFeedback]:
    """Return the counts of a snapshot's answers by score band, uncalibrated ones last."""
    rows = session.execute(
        select(AnswerFeedback.score_band, AnswerFeedback.verdict, AnswerFeedback.right_rank, func.count())
        .where(AnswerFeedback.snapshot == snapshot)
        .group_by(AnswerFeedback.score_band, AnswerFeedback.verdict, AnswerFeedback.right_rank)
    )
    verdicts: Counter[tuple[int | None, str]] = Counter()
    among_five: Counter[int | None] = Counter()
    for band, verdict, rank, count in rows:
        verdicts[band, verdict] += count
        if verdict == "other" and rank is not None and 2 <= rank <= 5:
            among_five[band] += count
    bands = sorted({band for band, _ in verdicts}, key=lambda band: BANDS if band is None else band)
    return [
        BandFeedback(
            band,
            yes=verdicts[band, "yes"],
            no=verdicts[band, "no"],
            other=verdicts[band, "other"],
            unknown=verdicts[band, "unknown"],
            among_five=among_five[band],
        )
        for band in bands
    ]
