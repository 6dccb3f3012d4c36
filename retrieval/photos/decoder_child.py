"""Decodes photos in a process of its own, one at a time, until its input ends. Started by `retrieval.photos.decoders`.

A decoder cannot be stopped from inside, and what it leaves in memory stays there; a process can be ended. A message is
the length of its header (4 bytes), the header (JSON), and the bytes that the header's `lengths` announce.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Final

import numpy as np

from retrieval.errors import FungariumError
from retrieval.models.embedder import Pixels, View
from retrieval.photos.crops import Box, decode_crops
from retrieval.photos.exif import read_metadata
from retrieval.photos.views import (
    PhotoLimits,
    cut_view,
    decode_pixels,
    is_large,
    photo_size,
    render_photo,
    upright_size,
)

SPACE: Final = 100_000_000  # bytes of a process without a photo, generously
BYTES_PER_PIXEL: Final = 5  # a picture has 4, and what it is converted from is freed or small

Reply = tuple[dict[str, Any], list[bytes]]


def write_message(stream: IO[bytes], header: Mapping[str, Any], blobs: Sequence[bytes | memoryview] = ()) -> None:
    """Write one message."""
    head = json.dumps({**header, "lengths": [len(blob) for blob in blobs]}).encode()
    stream.write(struct.pack(">I", len(head)) + head)
    for blob in blobs:
        stream.write(blob)
    stream.flush()


def read_message(stream: IO[bytes]) -> Reply:
    """Read one message; raises EOFError where the other side has ended."""
    start = stream.read(4)
    if len(start) < 4:
        raise EOFError
    header = json.loads(stream.read(struct.unpack(">I", start)[0]))
    lengths = header.pop("lengths")
    blobs = [stream.read(length) for length in lengths]
    if lengths != [len(blob) for blob in blobs]:
        raise EOFError
    return header, blobs


def pack_views(arrays: Sequence[Pixels]) -> Reply:
    """Return arrays of pixels as a message."""
    return {"shapes": [array.shape for array in arrays]}, [np.ascontiguousarray(array).tobytes() for array in arrays]


def unpack_views(header: Mapping[str, Any], blobs: Sequence[bytes]) -> list[View]:
    """Return the views of a message."""
    return [
        View(np.frombuffer(blob, np.uint8).reshape(shape)) for shape, blob in zip(header["shapes"], blobs, strict=True)
    ]


def make_views(photo: bytes, limits: PhotoLimits, side: int, box: Sequence[float] | None, augmentation: str) -> Reply:
    """Decode a photo to views."""
    part = None if box is None else Box(*box)
    return pack_views([view.pixels for view in decode_crops(photo, side, limits, box=part, augmentation=augmentation)])


def make_tiles(photo: bytes, limits: PhotoLimits, side: int, boxes: Sequence[tuple[int, int, int, int]]) -> Reply:
    """Decode a photo to views of boxes in pixels of the upright photo."""
    pixels = decode_pixels(photo, limits)
    return pack_views([cut_view(pixels, (box[0], box[1], box[2], box[3]), side).pixels for box in boxes])


def make_picture(photo: bytes, limits: PhotoLimits, side: int, quality: int, form: str) -> Reply:
    """Re-encode a photo."""
    picture = render_photo(photo, side, limits, quality=quality, form=form)
    return {"size": photo_size(picture, limits)}, [picture]


def say_metadata(photo: bytes, limits: PhotoLimits) -> Reply:
    """Read date and place."""
    found = read_metadata(photo, limits)
    day = found.event_date.isoformat() if found.event_date else None
    return {"event_date": day, "place": [found.latitude, found.longitude, found.uncertainty]}, []


def say_size(photo: bytes, limits: PhotoLimits) -> Reply:
    """Return width and height of the upright photo, from its header."""
    return {"size": upright_size(photo, limits)}, []


JOBS: Final[Mapping[str, Callable[..., Reply]]] = {
    "views": make_views,
    "tiles": make_tiles,
    "picture": make_picture,
    "metadata": say_metadata,
    "size": say_size,
}
DECODES: Final = frozenset({"views", "tiles", "picture"})


def answer(header: dict[str, Any], photo: bytes) -> Reply:
    """Do one job. A large photo is only decoded if the job says so; otherwise the reply says that it is large."""
    limits = PhotoLimits(**header["limits"])
    limit_memory(SPACE + BYTES_PER_PIXEL * limits.pixels)
    try:
        if header["job"] in DECODES and not header["large"] and is_large(photo, limits):
            return {"large": True}, []
        return JOBS[header["job"]](photo, limits, **header["options"])
    except FungariumError as error:
        return {"error": type(error).__name__, "detail": str(error)}, []
    except MemoryError:
        return {"error": "PhotoTooLarge", "detail": "the photo needs more memory than is allowed"}, []


def limit_memory(most: int) -> None:
    """Limit the memory of this process, in bytes, where the system can."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def main() -> None:
    """Answer jobs from standard input on standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C ends the server, which then closes the input
    source, replies = sys.stdin.buffer, sys.stdout.buffer
    write_message(replies, {"ready": True})
    with suppress(EOFError, BrokenPipeError):
        while True:
            header, (photo,) = read_message(source)
            write_message(replies, *answer(header, photo))


if __name__ == "__main__":
    main()
