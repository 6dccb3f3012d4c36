"""Static files of the pages: styles, images and scripts, under names that change with their content.

`make pages` builds scripts and styles into `static/built`, with a manifest of their names. Without a build, styles and
images are served as they are, and the pages work without scripts.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from functools import cache
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, abort, current_app, request, url_for

blueprint = Blueprint("assets", __name__, url_prefix="/assets")

STATIC: Final = Path(__file__).parents[1] / "static"
BUILT: Final = STATIC / "built"
YEAR: Final = 31_536_000  # seconds
ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}  # as made by the build, the smaller first


class Assets:
    """The files by their names in pages and by their names in URLs."""

    def __init__(self, static: Path, built: Path) -> None:
        try:
            manifest = json.loads((built / "manifest.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            manifest = {"names": {}, "files": []}
        self.names: dict[str, str] = dict(manifest["names"])
        self.files: dict[str, Path] = {name: built / name for name in manifest["files"]}
        for path in static.iterdir():
            if path.is_file() and path.name not in self.names:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()[:10]
                name = f"{path.stem}-{digest}{path.suffix}"
                self.names[path.name] = name
                self.files[name] = path


@cache
def assets(static: Path = STATIC, built: Path = BUILT) -> Assets:
    """Return the assets, read once: a new build is served after a restart."""
    return Assets(static, built)


def current_assets() -> Assets:
    """Return the assets of the current application."""
    return assets(STATIC, Path(current_app.config.get("BUILT_PAGES", BUILT)))


def asset_url(name: str) -> str:
    """Return the URL of a file; empty if it has not been built."""
    hashed = current_assets().names.get(name)
    return url_for("assets.serve", name=hashed) if hashed else ""


@blueprint.route("/<string:name>")
def serve(name: str) -> Response:
    """Serve a file, compressed if the browser accepts it. It is cached for ever, since its name contains its digest."""
    path = current_assets().files.get(name)
    if path is None:
        abort(404)
    accepted = [encoding for encoding in ENCODINGS if request.accept_encodings[encoding]]
    encoding = next((each for each in accepted if path.with_name(name + ENCODINGS[each]).exists()), "")
    body = path.with_name(name + ENCODINGS[encoding]) if encoding else path
    response = Response(body.read_bytes(), mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream")
    if encoding:
        response.content_encoding = encoding
    response.vary.add("Accept-Encoding")
    response.cache_control.public = True
    response.cache_control.max_age = YEAR
    response.cache_control.immutable = True
    return response
