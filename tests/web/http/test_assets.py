"""Static files: names with digests, permanent caching, and pages without a build."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.snapshots import Made
from tests.web.conftest import make_app
from web.http.assets import STATIC, Assets


@pytest.fixture
def bare(made: Made, tmp_path: Path) -> Flask:
    """The application where nothing has been built."""
    app = make_app(made.root, made.photos)
    app.config["BUILT_PAGES"] = tmp_path
    return app


def test_without_a_build_the_pages_have_their_styles_and_no_scripts(bare: Flask) -> None:
    client = bare.test_client()

    page = client.get("/").get_data(as_text=True)

    styles = page.split('rel="stylesheet" href="')[1].split('"')[0]
    assert client.get(styles).get_data() == (STATIC / "fungarium.css").read_bytes()
    assert '<script type="module"' not in page


def test_a_file_is_named_after_its_content(tmp_path: Path) -> None:
    (tmp_path / "one.css").write_text("a {}")
    first = Assets(tmp_path, tmp_path / "none").names["one.css"]
    (tmp_path / "one.css").write_text("b {}")

    second = Assets(tmp_path, tmp_path / "none").names["one.css"]

    assert first != second


def test_a_built_file_is_sent_compressed_to_whoever_takes_that(made: Made, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"names": {"x.js": "x-1.js"}, "files": ["x-1.js"]}))
    (tmp_path / "x-1.js").write_text("plain")
    (tmp_path / "x-1.js.gz").write_bytes(gzip.compress(b"plain"))
    app = make_app(made.root, made.photos)
    app.config["BUILT_PAGES"] = tmp_path

    packed = app.test_client().get("/assets/x-1.js", headers={"Accept-Encoding": "gzip, br"})
    plain = app.test_client().get("/assets/x-1.js")

    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.get_data()) == plain.get_data() == b"plain"
    assert plain.headers["Vary"] == "Accept-Encoding"
    assert "immutable" in plain.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["nothing.css", "../app.py", "%2e%2e/app.py", "manifest.json", "x-1.js.gz"])
def test_nothing_else_is_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/assets/{name}").status_code == 404
