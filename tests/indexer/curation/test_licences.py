from __future__ import annotations

import pytest

from indexer.curation.licences import POLICIES, canonical_licence, is_reserved, licence_family

SPELLINGS = {
    "http://creativecommons.org/licenses/by/4.0/": "CC-BY-4.0",
    "https://creativecommons.org/licenses/by-sa/3.0/": "CC-BY-SA-3.0",
    "http://creativecommons.org/licenses/by-sa/3.0/de/": "CC-BY-SA-3.0-DE",
    "https://creativecommons.org/licenses/by/4.0/deed.de": "CC-BY-4.0",
    "https://creativecommons.org/licenses/by-nc-nd/4.0/legalcode": "CC-BY-NC-ND-4.0",
    "http://creativecommons.org/licenses/by-nc/4.0/": "CC-BY-NC-4.0",
    "http://creativecommons.org/publicdomain/zero/1.0/": "CC0-1.0",
    "https://creativecommons.org/publicdomain/mark/1.0/": "PDM-1.0",
    "http://creativecommons.org/licenses/publicdomain/": "PD",
    "https://spdx.org/licenses/CC-BY-4.0": "CC-BY-4.0",
    "Creative Commons Attribution-Share Alike 3.0 Unported": "CC-BY-SA-3.0",
    "Creative Commons Attribution-ShareAlike 3.0 Unported": "CC-BY-SA-3.0",
    "Creative Commons Attribution-Share Alike 3.0 de": "CC-BY-SA-3.0-DE",
    "Creative Commons Attribution-Share Alike 4.0 International": "CC-BY-SA-4.0",
    "Creative Commons Attribution-Share Alike 2.5": "CC-BY-SA-2.5",
    "Creative Commons Attribution 2.0": "CC-BY-2.0",
    "Creative Commons Attribution Non-Commercial Share Alike 3.0": "CC-BY-NC-SA-3.0",
    "Creative Commons Attribution-NonCommercial-NoDerivs 3.0": "CC-BY-NC-ND-3.0",
    "Attribution-NonCommercial 4.0 International (CC BY-NC 4.0)": "CC-BY-NC-4.0",
    "Attribution 4.0 International": "CC-BY-4.0",
    "CC BY-NC 4.0": "CC-BY-NC-4.0",
    "cc by sa 4.0": "CC-BY-SA-4.0",
    "CC-BY-NC-SA": "CC-BY-NC-SA",
    "CC_BY_4_0": "CC-BY-4.0",
    "CC_BY_NC_4_0": "CC-BY-NC-4.0",
    "CC-BY": "CC-BY",
    "CC-BY-SA 3.0 DE": "CC-BY-SA-3.0-DE",
    "(c) Field Museum of Natural History - CC BY-NC 4.0": "CC-BY-NC-4.0",
    "CC0": "CC0-1.0",
    "CC0_1_0": "CC0-1.0",
    "cc-0": "CC0-1.0",
    "Creative Commons Zero, Public Domain Dedication": "CC0-1.0",
    "Creative Commons CC0 1.0 Universal Public Domain Dedication": "CC0-1.0",
    "Public domain": "PD",
    "Public Domain Mark 1.0": "PDM-1.0",
    "PD": "PD",
    "": None,
    "© all rights reserved": None,
    "© All rights reserved": None,
    "J.A. Cooper": None,
    "none stated": None,
    "Attribution: the photographer": None,
    "not recorded in repo (per-photo on iNaturalist)": None,
    "free for non-commercial use": None,
    "CC BY 4.0, for non-commercial use only": None,
    "CC BY 4.0 - all rights reserved": None,
    "this is not in the public domain": None,
    "GFDL": None,
}


@pytest.mark.parametrize(("text", "code"), SPELLINGS.items())
def test_a_licence_is_known_by_any_of_its_spellings(text: str, code: str | None) -> None:
    assert canonical_licence(text) == code
    assert canonical_licence(text.upper() if "://" not in text else f"  {text} ") == code


def test_every_code_is_a_spelling_of_itself() -> None:
    codes = {code for code in SPELLINGS.values() if code}

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


def test_reserved_rights_are_told_from_texts_that_are_not_understood() -> None:
    assert is_reserved("© All Rights  Reserved")
    assert not is_reserved("S. Hunter")
