from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.curation.licences import POLICIES, canonical_licence, is_reserved, is_restricted, licence_family

TABLE = Path(__file__).with_name("licences.tsv")
"""Texts and addresses of licences in many languages, each with its code; nothing where it is no licence to rely on."""

FREE = ["CC BY 4.0", "CC0", "Public Domain", "http://creativecommons.org/licenses/by-sa/4.0/", "Attribution 4.0"]
RESTRICTIONS = [
    "NC", "ND", "non-commercial", "no commercial use", "commercial use prohibited", "no derivatives", "do not modify",
    "nicht kommerziell", "nur für private Zwecke", "usage commercial interdit", "sans modification",
    "uso no comercial",
    "prohibido el uso comercial", "uso commerciale vietato", "proibido uso comercial",
    "niet voor commercieel gebruik",
    "ikke til kommerciel brug", "endast för privat bruk", "ei kaupalliseen käyttöön", "nie do użytku komercyjnego",
    "pouze pro nekomerční účely", "только для некоммерческого использования", "商用利用禁止", "禁止商业用途",
    "상업적 이용 금지",
    "ask me first", "only for research", "all rights reserved", "with permission",
]  # fmt: skip


def rows() -> Iterator[tuple[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if not row[0].startswith("# "):
                yield row[0], row[1]


@pytest.mark.parametrize(("text", "code"), list(rows()))
def test_a_licence_is_known_by_any_of_its_spellings_in_any_language(text: str, code: str) -> None:
    assert canonical_licence(text) == (code or None)


@pytest.mark.parametrize(("text", "code"), [row for row in rows() if not re.search("://|&nbsp;|[a-z]N", row[0])])
def test_capitals_say_the_same(text: str, code: str) -> None:
    assert canonical_licence(f"  {text.upper()} ") == (code or None)


def test_the_table_is_long_and_none_that_restricts_is_free() -> None:
    texts = dict(rows())
    restricting = [text for text in texts if is_restricted(text)]

    assert len(texts) >= 300
    assert len(restricting) > 120
    free = {text: canonical_licence(text) for text in restricting}
    assert not [text for text, code in free.items() if code and licence_family(code) in POLICIES["open"]]


@pytest.mark.parametrize("restriction", RESTRICTIONS)
@pytest.mark.parametrize("licence", FREE)
def test_a_restriction_in_any_language_takes_the_freedom_back(licence: str, restriction: str) -> None:
    for text in (f"{licence} {restriction}", f"{licence} ({restriction})", f"{restriction}; {licence}"):
        code = canonical_licence(text)
        assert code is None or licence_family(code) not in POLICIES["open"], text


@settings(deadline=None)  # the first one reads tables
@given(st.sampled_from(FREE), st.text(min_size=1, max_size=30).filter(lambda text: any(map(str.isalpha, text))))
def test_what_is_left_unread_makes_a_licence_unknown(licence: str, remark: str) -> None:
    code = canonical_licence(f"{licence} xyz{remark}")

    assert code is None


@settings(deadline=None)  # the first one reads tables
@given(st.text(max_size=80))
def test_no_text_makes_the_reading_of_licences_fail(text: str) -> None:
    code = canonical_licence(text)

    assert code is None or canonical_licence(code) == code


def test_every_code_is_a_spelling_of_itself() -> None:
    codes = {code for _, code in rows() if code}

    assert {canonical_licence(code) for code in codes} == codes


@pytest.mark.parametrize("version", ["1.0", "2.0", "2.5", "3.0", "4.0"])
@pytest.mark.parametrize("terms", ["by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd"])
def test_address_and_short_form_of_every_licence_agree(terms: str, version: str) -> None:
    address = canonical_licence(f"https://creativecommons.org/licenses/{terms}/{version}/")

    assert address == canonical_licence(f"CC {terms.upper()} {version}") == f"CC-{terms.upper()}-{version}"


def test_the_open_policy_has_neither_noncommercial_nor_noderivatives_licences() -> None:
    assert POLICIES["open"] == {"CC0", "PDM", "PD", "CC-BY", "CC-BY-SA"}
    assert POLICIES["noncommercial"] - POLICIES["open"] == {"CC-BY-NC", "CC-BY-NC-SA"}


@pytest.mark.parametrize(
    ("code", "family"),
    [("CC-BY-SA-3.0-DE", "CC-BY-SA"), ("CC0-1.0", "CC0"), ("PDM-1.0", "PDM"), ("PD", "PD"), ("CC-BY", "CC-BY")],
)
def test_the_family_is_the_code_without_version_and_port(code: str, family: str) -> None:
    assert licence_family(code) == family


@pytest.mark.parametrize(
    "text",
    ["© All Rights  Reserved", "Tous droits réservés", "Alle Rechte vorbehalten", "Все права защищены", "版权所有"],
)
def test_reserved_rights_are_told_from_texts_that_are_not_understood(text: str) -> None:
    assert is_reserved(text)
    assert not is_reserved("S. Hunter")
    assert not is_reserved("some rights reserved")


@pytest.mark.parametrize(
    ("text", "code", "restricted"),
    [
        ("© A. Example", "CC-BY-4.0", False),
        ("non-commercial use only", "CC-BY-4.0", True),
        ("non-commercial use only", "CC-BY-NC-4.0", False),
        ("no derivatives", "CC-BY-NC-4.0", True),
        ("not for commerce", "CC0-1.0", True),
        ("Utilisation commerciale interdite", "CC-BY-4.0", True),
    ],
)
def test_a_statement_of_rights_restricts_what_the_licence_grants(text: str, code: str, restricted: bool) -> None:
    assert is_restricted(text, code) == restricted
