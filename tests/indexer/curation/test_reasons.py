"""Every reason of a rejection is explained in the report and in the documentation."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from indexer.curation.reasons import ADVICE, ASSUMED, DROPPED, LISTED, REJECTED

ROOT = Path(__file__).resolve().parents[3]
MAKERS = {
    "RejectedRecord",
    "RecordFault",
    "RefusedPhoto",
    "DroppedValue",
    "_reject",
    "_fault",
    "_licence_fault",
    "_doubt",
    "_day",
}


def reasons_in_code() -> set[str]:
    """The texts shaped like a reason that are given to what makes rejections and doubts."""
    found = set()
    for path in [*(ROOT / "indexer").rglob("*.py"), ROOT / "database" / "collection" / "observations.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MAKERS:
                texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
                found |= {text for text in texts if isinstance(text, str) and re.fullmatch("[a-z]+(-[a-z]+)+", text)}
    return found


def test_every_reason_says_what_to_do() -> None:
    found = reasons_in_code()

    assert len(found) > 25
    assert found <= set(ADVICE), f"without advice: {sorted(found - set(ADVICE))}"


def test_a_reason_means_one_thing() -> None:
    assert len(ADVICE) == sum(map(len, (REJECTED, DROPPED, LISTED, ASSUMED)))
    assert all(advice.strip() for advice in ADVICE.values())


def test_the_documents_name_every_reason() -> None:
    text = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")

    missing = {reason for reason in ADVICE if f"`{reason}`" not in text}

    assert not missing, f"docs/import.md says nothing of {sorted(missing)}"
