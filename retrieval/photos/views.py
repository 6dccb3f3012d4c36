"""Decoding: from a photo's bytes to an upright RGB view at the size a model requires, within limits.

The only module of the engine that decodes with Pillow. Of the metadata only the orientation is used: a view, and a
photo rendered from it, has neither place nor date.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from PIL import Image

from retrieval.errors import NoPhoto, PhotoTooLarge, TooManyPhotos, UnreadablePhoto
from retrieval.models.embedder import Pixels, View
from retrieval.photos.colour import convert_to_srgb
from retrieval.photos.formats import check_structure, count_scans, strip_metadata
from retrieval.photos.formats import sniff as sniff
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
}  # other values, such as 0 (invalid, but written by some cameras), mean no rotation
SIDEWAYS: Final = frozenset({5, 6, 7, 8})
XMP: Final = ("XML:com.adobe.xmp", "xmp")  # where Pillow stores XMP, and reads an orientation from it
PLAIN: Final = frozenset({"L", "RGB", "CMYK"})  # modes that a colour profile can describe
RULE: Final = 2
"""The version of decoding, stored with embeddings. 1: pixels as in the file; 2: converted to sRGB."""
SMALLEST: Final = 16  # pixels of the shorter side
WEBP_EFFORT: Final = 2  # of 0 to 6: half the time of the default 4, for 3 % more bytes
LARGE_BYTES: Final = 72_000_000  # of a decoded picture: 24 megapixels in colour
LARGE_SCANS: Final = 200_000_000  # pixels times scans of a JPEG: about a second
STRIP: Final = 4_000_000  # pixels converted at once
LONGEST_RATIO: Final = 4  # longer strips are centre-cropped: scaling up their short side would exhaust memory


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """Upper limits for photos, checked before decoding."""

    bytes: int = 20_000_000
    pixels: int = 64_000_000
    photos: int = 8


CURATED: Final = PhotoLimits(bytes=50_000_000, pixels=170_000_000)  # for archives; uploads have lower limits


def check_count(count: int, limits: PhotoLimits) -> None:
    """Raise NoPhoto for an observation without photos, TooManyPhotos for more than the limit."""
    if count == 0:
        raise NoPhoto("an identification needs at least one photo")
    if count > limits.photos:
        raise TooManyPhotos(f"{count} photos were given; one observation may have at most {limits.photos}")


def open_photo(photo: bytes, limits: PhotoLimits) -> Image.Image:
    """Open a photo without decoding it.

    Raises UnsupportedPhoto for other formats, PhotoTooLarge beyond the limits, UnreadablePhoto for a damaged header or
    a tiny photo.
    """
    if len(photo) > limits.bytes:
        raise PhotoTooLarge(f"the photo has {len(photo):,} bytes; at most {limits.bytes:,} are accepted")
    kind = sniff(photo)
    check_structure(photo, kind)
    if kind == "HEIF":
        register_heif()
    try:
        image = open_image(photo, kind)
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


def open_image(photo: bytes, kind: str) -> Image.Image:
    """Open an image of a format, without its metadata if they are damaged. Raises Pillow's exceptions."""
    try:
        return Image.open(io.BytesIO(photo), formats=[kind])
    except Exception as error:
        if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
            raise
        return Image.open(io.BytesIO(strip_metadata(photo, kind)), formats=[kind])


def decode_view(photo: bytes, short_side: int, limits: PhotoLimits | None = None, aspect: str = "") -> View:
    """Decode a photo to a view whose shorter side has `short_side` pixels.

    JPEG is decoded at a reduced scale (draft mode) of at least twice the target size: five times faster than in full,
    with a difference below one grey level. Raises the errors of `open_photo`.
    """
    with open_photo(photo, limits or PhotoLimits()) as image:
        upright = scale_upright(image, lambda width, height: short_side / min(width, height))
        return View(np.asarray(upright), aspect)


def decode_views(photos: Sequence[bytes], short_side: int, limits: PhotoLimits | None = None) -> list[View]:
    """Decode the photos of one observation in parallel threads; Pillow releases the GIL while it decodes.

    Raises the errors of `check_count`, and of `decode_view` for the first photo that fails, with its number.
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
    """Re-encode a photo upright and without metadata, its longer side at most `side` pixels.

    `form` is JPEG or WEBP, which has the same quality in two thirds of the bytes.
    """
    with open_photo(photo, limits or PhotoLimits()) as image:
        upright = scale_upright(image, lambda width, height: min(1.0, side / max(width, height)), cut=False)
        drawn = io.BytesIO()
        bare = Image.fromarray(np.asarray(upright))  # a new image from the pixels: Pillow would copy a JPEG's comment
        if form == "WEBP":
            bare.save(drawn, "WEBP", quality=quality, method=WEBP_EFFORT)
        else:
            bare.save(drawn, "JPEG", quality=quality, optimize=True)
        return drawn.getvalue()


def photo_size(photo: bytes, limits: PhotoLimits | None = None) -> tuple[int, int]:
    """Return width and height from the header, without decoding or rotation."""
    with open_photo(photo, limits or PhotoLimits()) as image:
        return image.size


def upright_size(photo: bytes, limits: PhotoLimits | None = None) -> tuple[int, int]:
    """Return width and height of the upright photo, from the header."""
    with open_photo(photo, limits or PhotoLimits()) as image:
        width, height = image.size
        return (height, width) if read_orientation(image) in SIDEWAYS else (width, height)


def is_large(photo: bytes, limits: PhotoLimits | None = None) -> bool:
    """Return whether decoding takes much memory or time, from the header; raises the errors of `open_photo`.

    A JPEG in one scan is decoded row by row, at a reduced scale; one in several scans needs its coefficients in memory.
    """
    with open_photo(photo, limits or PhotoLimits()) as image:
        pixels, kind = image.width * image.height, image.format
        if kind == "JPEG":
            scans = count_scans(photo)
            return scans > 1 and (3 * pixels > LARGE_BYTES or scans * pixels > LARGE_SCANS)
        frames = 3 if getattr(image, "is_animated", False) else 1  # the canvas, the frame and its copy
        return frames * pixels * max(3, len(image.getbands())) > LARGE_BYTES


def decode_pixels(photo: bytes, limits: PhotoLimits | None = None) -> Pixels:
    """Decode a photo upright at its full size, (height, width, 3); raises the errors of `open_photo`."""
    with open_photo(photo, limits or PhotoLimits()) as image:
        return np.asarray(scale_upright(image, lambda width, height: 1.0, cut=False))


def cut_view(pixels: Pixels, box: tuple[int, int, int, int], short_side: int) -> View:
    """Make a view of a box (left, top, right, bottom in pixels), its shorter side scaled to `short_side`."""
    left, top, right, bottom = box
    part = Image.fromarray(pixels[top:bottom, left:right])
    scale = short_side / min(part.size)
    size = (max(1, round(part.width * scale)), max(1, round(part.height * scale)))
    return View(np.asarray(part.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)))


def scale_upright(image: Image.Image, scale: Callable[[int, int], float], *, cut: bool = True) -> Image.Image:
    """Scale an open image by `scale(width, height)`, convert it to RGB and rotate it upright; `cut` crops long strips.

    Scaling comes before rotation, which would decode the photo in full. Raises PhotoTooLarge where memory does not
    suffice, UnreadablePhoto for damaged files.
    """
    try:
        turn = TRANSPOSES.get(read_orientation(image))
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
    except Exception as error:  # decoders raise arbitrary exceptions on damaged files
        raise UnreadablePhoto("the photo is damaged or cut short and cannot be decoded") from error


def read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an open image, 1 (upright) if missing or invalid.

    XMP is ignored, as in browsers and cameras: editors leave it unchanged when they rotate the pixels.
    """
    for xmp in XMP:
        image.info.pop(xmp, None)
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged metadata are ignored; the photo is still used
        return 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode and colour profile to sRGB: 16-bit grey is scaled, not clipped; transparency becomes white.

    Large pictures are converted in strips, since intermediate copies would double the memory.
    """
    top = 0
    if image.mode.startswith(("I", "F")):
        top = 65535 if cast("tuple[float, float]", image.getextrema())[1] > 255 else 255
    rows = max(1, STRIP // image.width)
    if image.height <= rows or (image.mode == "RGB" and not needs_conversion(image)):
        return convert_part(image, top, image.info)
    drawn = Image.new("RGB", image.size)
    for start in range(0, image.height, rows):
        part = image.crop((0, start, image.width, min(start + rows, image.height)))
        drawn.paste(convert_part(part, top, image.info), (0, start))
    return drawn


def needs_conversion(image: Image.Image) -> bool:
    """Return whether an RGB image has transparency or a colour profile."""
    return "transparency" in image.info or "icc_profile" in image.info


def convert_part(image: Image.Image, top: int, info: Mapping[Any, Any]) -> Image.Image:
    """Convert an image, or a strip of one with that metadata, to sRGB; `top` is white in 16-bit grey."""
    profile = info.get("icc_profile")
    if image.mode.startswith(("I", "F")):
        grey = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        levels = (np.clip(np.arange(65536) / top, 0, 1) * 255).astype(np.uint8)  # a table: floats take 8 times as much
        return convert_to_srgb(Image.fromarray(levels[grey]), profile)
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in info:
        opaque, layered = ("L", "LA") if image.mode in {"1", "L", "LA", "La"} else ("RGB", "RGBA")
        layer = image if image.mode == layered else image.convert(layered)
        paper = Image.new("RGB", layer.size, "white")
        paper.paste(convert_to_srgb(layer.convert(opaque), profile), mask=layer.getchannel("A"))
        return paper
    if image.mode in PLAIN:
        return convert_to_srgb(image, profile)
    return convert_to_srgb(image.convert("L" if image.mode == "1" else "RGB"), profile)


def cut_strip(image: Image.Image) -> Image.Image:
    """Centre-crop an image whose longer side is more than LONGEST_RATIO times the shorter one."""
    longest = LONGEST_RATIO * min(image.size)
    if max(image.size) <= longest:
        return image
    width, height = min(image.width, longest), min(image.height, longest)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
