"""The README's images have the size of a screen, and small files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser

from benchmarks.server.screenshots import LARGEST, SIZES, photograph_answer, write_small
from tests.pages.conftest import Site


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("name", SIZES)
def test_an_answer_is_photographed_at_the_size_of_a_screen(
    browser: Browser, site: Site, tmp_path: Path, name: str
) -> None:
    shot = photograph_answer(browser, site.address, site.find(), SIZES[name])
    path = tmp_path / "answer.webp"

    write_small(shot, path)

    assert Image.open(io.BytesIO(shot)).size == SIZES[name]
    assert Image.open(io.BytesIO(path.read_bytes())).size == SIZES[name]
    assert path.stat().st_size <= LARGEST


def test_a_picture_that_would_be_too_large_is_written_coarser(tmp_path: Path) -> None:
    noise = io.BytesIO()
    Image.effect_noise((700, 700), 90).convert("RGB").save(noise, "PNG")
    fine, path = io.BytesIO(), tmp_path / "noise.webp"
    Image.open(noise).save(fine, "WEBP", quality=90)
    assert fine.tell() > LARGEST

    write_small(noise.getvalue(), path)

    assert path.stat().st_size < fine.tell()
