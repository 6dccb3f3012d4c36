from __future__ import annotations

import pytest

from indexer.curation.media import find_media_fault


@pytest.mark.parametrize(
    ("media_type", "media_format"),
    [
        ("StillImage", "image/jpeg"), ("image/jpeg", "StillImage"), ("StillImage", ".jpg"),
        ("Still Image", "JPEG image"),
        ("image/png", "image/png"), ("Image;StillImage", "jpeg"), ("Photo", "JPG"), ("", "image"), ("", ""),
        ("http://purl.org/dc/dcmitype/StillImage", "image/jpeg; charset=binary"), ("StillImage", "image/*"),
    ],
)  # fmt: skip
def test_whichever_of_type_and_format_says_photo_is_believed(media_type: str, media_format: str) -> None:
    assert find_media_fault(media_type, media_format) is None


@pytest.mark.parametrize(
    ("media_type", "media_format", "field"),
    [
        ("Sound", "audio/mpeg", "type"), ("MovingImage", "video/mp4", "type"), ("audio/mpeg", "Sound", "type"),
        ("InteractiveResource", "", "type"), ("StillImage", "text/html", "format"),
        ("", "application/ld+json", "format"), ("Dataset", "image/jpeg", "type"),
    ],
)  # fmt: skip
def test_what_is_no_photo_by_either_is_none(media_type: str, media_format: str, field: str) -> None:
    fault = find_media_fault(media_type, media_format)

    assert fault is not None
    assert fault[0] == field
