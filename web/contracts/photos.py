"""Photos of requests to contracts, as uploaded files or URLs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flask import request
from werkzeug.datastructures import FileStorage

from retrieval.errors import ForbiddenAddress, NoPhoto, TooManyPhotos
from web.photos.remote_photos import remote_photos
from web.photos.uploads import left_empty, read_photo
from web.services import services

LONGEST_NAME: Final = 120
WHOLE_POST: Final = 50_000_000  # bytes, as in Pl@ntNet


@dataclass(frozen=True, slots=True)
class SentPhoto:
    """A photo with the file name given by the client."""

    photo: bytes
    name: str


def bound_post(most: int = WHOLE_POST) -> None:
    """Limit the body to the maximum of the contract or of this server, before the form is parsed."""
    request.max_content_length = min(most, request.max_content_length or most)


def most_photos(contract: int) -> int:
    """Return the largest number of photos in a request, by its contract and this server."""
    return min(contract, services().limits.photos)


def read_files(files: Sequence[FileStorage], most: int, part: str) -> list[SentPhoto]:
    """Return the photos of a form's parts of this name; raises NoPhoto, TooManyPhotos, or an error of `read_photo`."""
    sent = [file for file in files if not left_empty(file)]
    check_count(len(sent), most, part)
    limits = services().limits
    return [
        SentPhoto(read_photo(file, f"photo {number} of {len(sent)}", limits), plain_name(file.filename or ""))
        for number, file in enumerate(sent, start=1)
    ]


def fetch_addresses(addresses: Sequence[str], most: int, name: str) -> list[SentPhoto]:
    """Return the photos at a parameter's URLs; raises NoPhoto, TooManyPhotos, or an error of `RemotePhotos.fetch`."""
    check_count(len(addresses), most, name)
    if any(len(address) > 2000 for address in addresses):
        raise ForbiddenAddress("the address of a photo has more than 2,000 letters")
    photos = remote_photos().fetch(addresses)
    return [SentPhoto(photo, plain_name(address)) for photo, address in zip(photos, addresses, strict=True)]


def check_count(count: int, most: int, name: str) -> None:
    """Raise NoPhoto, with the name of the missing part, or TooManyPhotos."""
    if not count:
        raise NoPhoto(f'"{name}" is required')
    if count > most:
        raise TooManyPhotos(f"{count} photos were given; one observation may have at most {most}")


def plain_name(name: str) -> str:
    """Return the last part of a path or URL, which is only echoed to the client."""
    last = re.split(r"[/\\]", name.partition("?")[0].rstrip("/\\"))[-1]
    return "".join(sign for sign in last if sign.isprintable())[:LONGEST_NAME]
