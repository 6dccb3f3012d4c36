"""Retired names do not occur in code and documentation; the glossary is in docs/ARCHITECTURE.md."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = "retrieval indexer database web evaluation training cluster fungarium benchmarks"
CODE = ("app.py", "settings.py", *PACKAGES.split())

RETIRED = {
    "Wishes": "IdentifyOptions",
    "wished": "options",
    "Look": "ViewOptions",
    "Doubt": "Rejection",
    "Stop": "TaxonomicSpecificity",
    "make_stop": "decide_specificity",
    "Gaps": "PartialSearch",
    "forgiving": "with_partial",
    "unsearched": "skipped",
    "HidingIndex": "FilteredIndex",
    "Stamp": "VerifiedFile",
    "stamps": "verified files",
    "Guide": "CoarseQuantiser",
    "guide": "quantiser",
    "stretches": "blocks",
    "Occasion": "ObservationContext",
    "occasions": "contexts",
    "Expectation": "QueryPriors",
    "expectation": "query priors",
    "trust": "recalibrate_top_score",
    "tell_aspects": "predict_aspects",
    "Narrator": "Progress",
    "Told": "Progress",
    "Advance": "Progress",
    "Silent": "Progress",
    "fleet": "shards",
    "Lane": "ReplicaClient",
    "lane": "client",
    "Patience": "Timeouts",
    "ImpossibleWish": "InvalidOption",
    "PhotoSays": "PhotoMetadata",
    "NotTheirs": "NotOwner",
    "shown_again": "render_form_again",
    "JudgedWay": "JudgedCondition",
    "ask_itself": "hold_out_queries",
    "ask_strangers": "make_not_fungi_queries",
    "score_apart": "score_out_of_fold",
    "kin_of": "hidden_columns",
    "known_of": "has_metadata",
    "embed_where_set": "run_embedding",
    "Bars": "ProgressBars",
    "as_address": "data_url",
    "typed_words": "entered_values",
    "beside_suggestion": "illustrate_suggestion",
    "saw_batch": "record_batch",
    "saw_snapshot": "record_snapshot",
    "present_deadline": "current_deadline",
    "public_words": "public_message",
    "carry_out": "run_publication",
    "forget_old": "remove_old",
}
"""What a stranger stumbled over, and what is said instead."""

MODULES = (
    "saying doubts likeness unchanging reception journal registering wishes hiding gaps stamps occasions expectation "
    "fleet lane asking watch published clustered given asks apart"
)


def sources() -> list[Path]:
    return sorted(
        path for name in CODE for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("*.py"))
    )


def names_in(path: Path) -> set[str]:
    """The identifiers of a Python file; words of comments and strings are no names."""
    text = io.StringIO(path.read_text(encoding="utf-8"))
    return {token.string for token in tokenize.generate_tokens(text.readline) if token.type == tokenize.NAME}


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_code_uses_the_standard_names(path: Path) -> None:
    found = names_in(path) & set(RETIRED)

    assert not found, {name: RETIRED[name] for name in found}


def test_documents_use_the_standard_names() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    pages = [page for page in pages if page.name != "CHANGELOG.md"]

    quoted = {(page.name, name) for page in pages for name in re.findall(r"`(\w+)`", page.read_text(encoding="utf-8"))}

    assert sorted((page, name) for page, name in quoted if name in RETIRED) == []


def test_no_module_has_a_name_that_hides_what_it_holds() -> None:
    assert sorted(path.name for path in sources() if path.stem in MODULES.split()) == []
