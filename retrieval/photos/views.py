"""From the bytes of a photo to a view: sniffed, bounded, upright, RGB, at the size a model wants.

The only home of Pillow's decoder in the engine. Metadata is read for the orientation and
goes no further: a view, and whatever is drawn from it, carries no place and no date.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from retrieval.errors import NoPhoto, PhotoTooLarge, TooManyPhotos, UnreadablePhoto, UnsupportedPhoto
from retrieval.models.embedder import Pixels, View
from retrieval.photos.heif import register_heif

ORIENTATION: Final = 0x0112
TRANSPOSES: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # whatever is not here, 0 (invalid, but written by some cameras) among it, means: as it lies
SMALLEST: Final = 16  # pixels; a side below this shows nothing
WEBP_EFFORT: Final = 2  # of 0 to 6: half the time of the usual 4, for 3 % more bytes
LONGEST_RATIO: Final = 4  # a longer strip is cut at its centre, or scaling its short side up would fill the memory


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """What is refused before anything is decoded."""

    bytes: int = 20_000_000
    pixels: int = 64_000_000
    photos: int = 8


CURATED: Final = PhotoLimits(bytes=50_000_000, pixels=170_000_000)  # of archives; strangers' are bounded tighter


def sniff(photo: bytes) -> str:
    """Name the format by the first bytes, whatever the file is called: JPEG, PNG, WEBP or HEIF.

    Raises UnsupportedPhoto for anything else.
    """
    if photo[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if photo[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if photo[:4] == b"RIFF" and photo[8:12] == b"WEBP":
        return "WEBP"
    if photo[4:8] == b"ftyp" and photo[8:12] in {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}:
        return "HEIF"
    if not photo:
        raise UnsupportedPhoto("the file is empty")
    raise UnsupportedPhoto("the file is not a JPEG, PNG, WebP or HEIC photo")


def check_count(count: int, limits: PhotoLimits) -> None:
    """Refuse an observation without photos or with more than the limit."""
    if count == 0:
        raise NoPhoto("an identification needs at least one photo")
    if count > limits.photos:
        raise TooManyPhotos(f"{count} photos were given; one observation may have at most {limits.photos}")


def open_photo(photo: bytes, limits: PhotoLimits) -> Image.Image:
    """Open a photo without decoding it; raise if it is of no accepted kind or larger than the limits."""
    if len(photo) > limits.bytes:
        raise PhotoTooLarge(f"the photo has {len(photo):,} bytes; at most {limits.bytes:,} are accepted")
    kind = sniff(photo)
    if kind == "HEIF":
        register_heif()
    try:
        image = Image.open(io.BytesIO(photo), formats=[kind])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoTooLarge(f"the photo has too many pixels; at most {limits.pixels:,} are accepted") from error
    except Exception as error:
        raise UnreadablePhoto(f"the {kind} photo is damaged: its header cannot be read") from error
    width, height = image.size
    if width * height > limits.pixels:
        raise PhotoTooLarge(f"the photo has {width} x {height} pixels; at most {limits.pixels:,} are accepted")
    if min(width, height) < SMALLEST:
        raise UnreadablePhoto(f"the photo has only {width} x {height} pixels; nothing can be seen on it")
    return image


def decode_view(photo: bytes, short_side: int, limits: PhotoLimits | None = None, aspect: str = "") -> View:
    """Decode a photo to a view whose shorter side has `short_side` pixels.

    JPEG is decoded at a reduced scale (draft mode), at least twice the wanted size:
    five times faster than whole, and the difference is below one grey level.
    Raises the IdentificationErrors of this module's checks.
    """
    with open_photo(photo, limits or PhotoLimits()) as image:
        upright = scale_upright(image, lambda width, height: short_side / min(width, height))
        return View(np.asarray(upright), aspect)


def decode_views(photos: Sequence[bytes], short_side: int, limits: PhotoLimits | None = None) -> list[View]:
    """Decode the photos of one observation side by side; Pillow lets go of the interpreter while it works.

    An error is raised for the first photo that has one, and says which it was.
    """
    bounds = limits or PhotoLimits()
    check_count(len(photos), bounds)

    def decode(numbered: tuple[int, bytes]) -> View:
        number, photo = numbered
        try:
            return decode_view(photo, short_side, bounds)
        except (UnreadablePhoto, PhotoTooLarge) as error:
            raise type(error)(f"photo {number} of {len(photos)}: {error}") from error

    numbered = list(enumerate(photos, start=1))
    if len(numbered) == 1:
        return [decode(numbered[0])]
    with ThreadPoolExecutor(max_workers=min(4, len(numbered))) as pool:
        return list(pool.map(decode, numbered))


def render_photo(
    photo: bytes, side: int, limits: PhotoLimits | None = None, *, quality: int = 85, form: str = "JPEG"
) -> bytes:
    """Draw the photo anew, its longer side at most `side` pixels, upright and without metadata.

    `form` is JPEG or WEBP, which is as good in two thirds of the bytes.
    """
    with open_photo(photo, limits or PhotoLimits()) as image:
        upright = scale_upright(image, lambda width, height: min(1.0, side / max(width, height)), cut=False)
        drawn = io.BytesIO()
        bare = Image.fromarray(np.asarray(upright))  # from the pixels alone: Pillow hands a JPEG's comment on
        if form == "WEBP":
            bare.save(drawn, "WEBP", quality=quality, method=WEBP_EFFORT)
        else:
            bare.save(drawn, "JPEG", quality=quality, optimize=True)
        return drawn.getvalue()


def photo_size(photo: bytes, limits: PhotoLimits | None = None) -> tuple[int, int]:
    """Width and height as the file says them, without decoding."""
    with open_photo(photo, limits or PhotoLimits()) as image:
        return image.size


def decode_pixels(photo: bytes, limits: PhotoLimits | None = None) -> Pixels:
    """Decode the whole photo at its own size, upright; raises the IdentificationErrors of this module's checks."""
    with open_photo(photo, limits or PhotoLimits()) as image:
        return np.asarray(scale_upright(image, lambda width, height: 1.0, cut=False))


def cut_view(pixels: Pixels, box: tuple[int, int, int, int], short_side: int) -> View:
    """A view of a part of a photo: left, top, right and bottom in pixels."""
    left, top, right, bottom = box
    part = Image.fromarray(pixels[top:bottom, left:right])
    scale = short_side / min(part.size)
    size = (max(1, round(part.width * scale)), max(1, round(part.height * scale)))
    return View(np.asarray(part.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)))


def scale_upright(image: Image.Image, scale: Callable[[int, int], float], *, cut: bool = True) -> Image.Image:
    """Scale an open image by `scale(width, height)`, then turn it upright and make it RGB.

    Scaled before it is turned: turning first would decode the whole photo.
    """
    try:
        turn = TRANSPOSES.get(image.getexif().get(ORIENTATION, 1))
        factor = scale(*image.size)
        image.draft(None, tuple(max(1, round(2 * side * factor)) for side in image.size))  # type: ignore[arg-type]
        image.load()
        rgb = to_rgb(image)
        if cut:
            rgb = cut_strip(rgb)
        factor = scale(*rgb.size)
        size = (max(1, round(rgb.width * factor)), max(1, round(rgb.height * factor)))
        if size != rgb.size:
            rgb = rgb.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        return rgb.transpose(turn) if turn is not None else rgb
    except (Image.DecompressionBombError, MemoryError) as error:
        raise PhotoTooLarge("the photo needs more memory than is allowed") from error
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise UnreadablePhoto("the photo is damaged or cut short and cannot be decoded") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Bring any mode to RGB: 16-bit grey is scaled rather than clipped, transparency is laid on white."""
    if image.mode.startswith(("I", "F")):
        grey = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        top = 65535 if grey.max(initial=0) > 255 else 255
        levels = (np.clip(np.arange(65536) / top, 0, 1) * 255).astype(np.uint8)  # a table: floats would take eightfold
        return Image.fromarray(levels[grey]).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        paper = Image.new("RGB", layer.size, "white")
        paper.paste(layer, mask=layer.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def cut_strip(image: Image.Image) -> Image.Image:
    """Keep the centre of an image that is more than LONGEST_RATIO times as long as it is wide."""
    longest = LONGEST_RATIO * min(image.size)
    if max(image.size) <= longest:
        return image
    width, height = min(image.width, longest), min(image.height, longest)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
