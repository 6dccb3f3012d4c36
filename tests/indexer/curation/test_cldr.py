from __future__ import annotations

from babel import localedata

from indexer.curation.cldr import LOCALES, read_names


def test_names_are_the_same_before_and_after_pages_are_translated() -> None:
    for tag in LOCALES:
        localedata.load(tag)  # as translating a page does: merged with the root locale, and kept
    translated = read_names.__wrapped__()
    localedata._cache.clear()
    alone = read_names.__wrapped__()

    assert translated == alone
    assert {"sat", "saturday", "lordag"} <= alone.weekdays
    assert not localedata._cache
