"""The photos of a request of another contract, as files of a form or as addresses."""

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
WHOLE_POST: Final = 50_000_000  # bytes, as Pl@ntNet has it


@dataclass(frozen=True, slots=True)
class SentPhoto:
    """A photo with what its sender called it."""

    photo: bytes
    name: str


def bound_post(most: int = WHOLE_POST) -> None:
    """Accept no more bytes than the contract says, or than this server does; before anything of a form is read."""
    request.max_content_length = min(most, request.max_content_length or most)


def most_photos(contract: int) -> int:
    """Photos that one request may have, by its contract and by this server."""
    return min(contract, services().limits.photos)


def read_files(files: Sequence[FileStorage], most: int, part: str) -> list[SentPhoto]:
    """The photos of a form, from its parts of that name; raises NoPhoto, TooManyPhotos, those of `read_photo`."""
    sent = [file for file in files if not left_empty(file)]
    check_count(len(sent), most, part)
    limits = services().limits
    return [
        SentPhoto(read_photo(file, f"photo {number} of {len(sent)}", limits), plain_name(file.filename or ""))
        for number, file in enumerate(sent, start=1)
    ]


def fetch_addresses(addresses: Sequence[str], most: int, name: str) -> list[SentPhoto]:
    """The photos behind the addresses of a parameter; raises NoPhoto, TooManyPhotos, those of `RemotePhotos.fetch`."""
    check_count(len(addresses), most, name)
    if any(len(address) > 2000 for address in addresses):
        raise ForbiddenAddress("the address of a photo has more than 2,000 letters")
    photos = remote_photos().fetch(addresses)
    return [SentPhoto(photo, plain_name(address)) for photo, address in zip(photos, addresses, strict=True)]


def check_count(count: int, most: int, name: str) -> None:
    """Refuse none, naming what is missing, and too many."""
    if not count:
        raise NoPhoto(f'"{name}" is required')
    if count > most:
        raise TooManyPhotos(f"{count} photos were given; one observation may have at most {most}")


def plain_name(name: str) -> str:
    """The last part of a path or address, to be shown back and used for nothing."""
    last = re.split(r"[/\\]", name.partition("?")[0].rstrip("/\\"))[-1]
    return "".join(sign for sign in last if sign.isprintable())[:LONGEST_NAME]
