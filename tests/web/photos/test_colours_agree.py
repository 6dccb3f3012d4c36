"""A photo has the same colours by API, by page, at import and on the command line, whatever profile it has."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from indexer.embedding.embed import PhotoToEmbed, read_crops
from retrieval.answers.identify import embed_photos
from retrieval.models.descriptor import Descriptor
from retrieval.photos.crops import WHOLE
from retrieval.photos.views import PhotoLimits, decode_view, render_photo
from tests.retrieval.photos.oddities import grey_levels, open_image, save
from tests.retrieval.photos.profiles import WORKING, grey_profile, reference_grey, reference_rgb, rgb_profile
from tests.retrieval.photos.test_colour import CAMERA, PRESS, broken_profiles, by_little_cms, colours
from tests.web.conftest import encode_photos
from tests.web.people import Server
from web.photos.observation_photos import QUALITY

pytestmark = pytest.mark.parametrize("system", ["sqlite"])
Made = tuple[bytes, np.ndarray[Any, Any]]


def in_space(name: str) -> Made:
    return save(colours(5), "PNG", icc_profile=rgb_profile(name)), reference_rgb(np.asarray(colours(5)), name)


def in_inks() -> Made:
    photo = save(colours(5, 4), icc_profile=PRESS)
    return photo, by_little_cms(Image.open(io.BytesIO(photo)), PRESS)


def in_grey() -> Made:
    grey = colours(5).convert("L")
    return save(grey, "PNG", icc_profile=grey_profile(1.8)), reference_grey(np.asarray(grey), 1.8)


KINDS: dict[str, Callable[[], Made]] = {
    **{name: lambda name=name: in_space(name) for name in WORKING},  # type: ignore[misc]
    "CMYK": in_inks,
    "grey": in_grey,
    "table": lambda: (save(colours(5), "PNG", icc_profile=CAMERA), by_little_cms(colours(5), CAMERA)),
    "broken": lambda: (save(colours(5), "PNG", icc_profile=broken_profiles()["cut short"]), np.asarray(colours(5))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_api_page_import_and_command_line_see_the_same_colours(server: Server, kind: str) -> None:
    photo, wanted = KINDS[kind]()
    shown = save(Image.fromarray(wanted), "PNG")
    olga, model = server.signed_in("olga"), Descriptor()

    by_api = server.visitor().post(
        "/api/v1/observations", headers=server.key("olga"), **encode_photos([photo], suggest="false")
    )
    boundary, body = encode_multipart({"photos": FileStorage(io.BytesIO(photo), "photo.jpg"), "habitat": "moss"})
    by_page = olga.client.post(
        "/observations/new", data=body, content_type=f"multipart/form-data; boundary={boundary}", headers=olga.token
    )
    embedded = server.visitor().post("/api/v1/embeddings", headers=server.key("olga"), **encode_photos([photo]))
    at_import = read_crops(PhotoToEmbed("0" * 64, lambda: photo), model.short_side, PhotoLimits())
    by_command = embed_photos([photo], model, PhotoLimits(), WHOLE)

    kept = by_api.get_json()["photos"][0]["sha256"]
    assert by_page.status_code == 303
    assert [name for name, _ in server.files.everything()] == [kept]  # the page has kept the very same picture
    drawn, meant = (open_image(one) for one in (server.files.get(kept), render_photo(shown, 2048, quality=QUALITY)))
    assert grey_levels(np.asarray(drawn), np.asarray(meant)) < 1  # both are JPEGs
    assert isinstance(at_import, list)
    assert np.abs(at_import[0].pixels.astype(int) - decode_view(shown, model.short_side).pixels).max() <= 3
    assert np.array_equal(by_command, model.embed(at_import))
    assert np.allclose(embedded.get_json()["embeddings"][0], by_command[0], atol=1e-6)
