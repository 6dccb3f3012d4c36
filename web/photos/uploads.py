"""The photos of one observation as they come in: counted, bounded and sniffed before anything is decoded.

File names and content types are not looked at: phones send HEIC as octet-stream and clients send whole paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final

from flask import Request
from flask_smorest.fields import Upload
from marshmallow import RAISE, Schema, ValidationError, fields, validate
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy
from werkzeug.datastructures import CombinedMultiDict, FileStorage, MultiDict
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from retrieval.domain import ASPECTS, HABITATS, SUBSTRATES, WORLD
from retrieval.errors import IdentificationError, InvalidOption, PhotoTooLarge, UnreadablePhoto
from retrieval.photos.crops import AUGMENTATIONS, Box, ViewOptions
from retrieval.photos.views import PhotoLimits, check_count, sniff
from retrieval.ranking.fusion import FUSIONS, LEARNED
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.priors import PRIORS
from retrieval.ranking.specificity import TARGET
from web.http.decimals import LATITUDES, Decimal
from web.http.multipart import PartsParser

SLACK: Final = 1_000_000  # bytes of a form beside its photos
DETAILS: Final = ("brief", "full")
PARTS: Final = 64  # parts of a form beyond as many photos as are allowed: so that "too many" can be said kindly


class PhotoRequest(Request):
    """A request whose files stay in memory: a photo, and the place in it, is written to no disk."""

    form_data_parser_class = PartsParser

    def _get_file_stream(self, *_: Any, **__: Any) -> BytesIO:
        """Werkzeug's own would move what is over 500 kB to a temporary file."""
        return BytesIO()

    def _load_form_data(self) -> None:
        """Read the form; one that cannot be read is refused once, and empty to the page that says so."""
        try:
            super()._load_form_data()
        except BadRequest:
            self.__dict__.update(form=self.parameter_storage_class(), files=self.parameter_storage_class())
            raise


class PhotoFile(Upload):  # type: ignore[misc] # flask-smorest has no type information
    """A part of the form that is a file."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **other: Any) -> FileStorage:
        if not isinstance(value, FileStorage):
            raise ValidationError("This is text. Send each photo as a file: a part with a filename.")
        return value


def flora_field() -> fields.String:
    """The flora to search."""
    return fields.String(
        load_default=WORLD,
        validate=validate.Length(min=1, max=500),
        metadata={
            "description": "Id of the flora to search; /api/v1/floras lists them. Or one of the moment in words, "
            "such as `north or south`, `taxon:Amanita and near:55.7,12.6`, `world under CC0-1.0`."
        },
    )


def partial_field() -> fields.Boolean:
    """Whether an answer from a part of the references will do."""
    return fields.Boolean(
        load_default=False,
        data_key="partial",
        attribute="partial",  # a schema has something else of this name
        metadata={
            "description": "On a cluster: answer also where a part of the references gives none, and say in "
            "`notSearched` which. Otherwise that is a 503."
        },
    )


class Strict(Schema):
    """Options that refuse what they do not know: a misspelt `flora` would be answered with the whole world."""

    class Meta:
        """As said above."""

        unknown = RAISE


class Observation(Strict):
    """Photos of one find."""

    photos: fields.List[FileStorage] = fields.List(
        PhotoFile(),
        load_default=list,
        metadata={"description": "Photos of the same find: JPEG, PNG, WebP or HEIC. Repeat the part for each."},
    )
    images: fields.List[FileStorage] = fields.List(
        PhotoFile(), load_default=list, metadata={"description": "Another name of photos."}
    )


class ViewOptionsSchema(Strict):
    """How the photos are looked at."""

    boxes = fields.List(
        fields.String(validate=validate.Length(max=100)),
        load_default=list,
        metadata={
            "description": "Region of interest of each photo, in their order, or nothing at all: "
            "`left,top,width,height` in shares of the upright photo, such as `0.25,0.1,0.5,0.8`; "
            "empty for the whole photo."
        },
    )
    augmentation = fields.String(
        load_default="none",
        validate=validate.OneOf(AUGMENTATIONS),
        metadata={
            "description": "Crops whose embeddings are averaged: `two-scale` looks at the centre too, `full` at 14 "
            "crops, which takes as much longer."
        },
    )


class IdentifyOptionsSchema(ViewOptionsSchema):
    """How an identification is made, beside its photos."""

    flora = flora_field()
    detail = fields.String(
        load_default="full",
        validate=validate.OneOf(DETAILS),
        metadata={"description": "`brief` leaves out evidence, genera, families and what each photo alone says."},
    )
    count = fields.Integer(
        load_default=10, validate=validate.Range(1, 50), metadata={"description": "Candidates to list."}
    )
    latitude = Decimal(
        load_default=None,
        validate=LATITUDES,
        metadata={"description": "Where the find was made, in degrees; used for this answer and forgotten."},
    )
    longitude = Decimal(
        load_default=None, validate=validate.Range(-180, 180), metadata={"description": "Goes with latitude."}
    )
    date = fields.Date(load_default=None, metadata={"description": "Day of the find, YYYY-MM-DD."})
    habitat = fields.String(
        load_default="",
        validate=validate.OneOf(("", *HABITATS)),
        metadata={"description": "What grows around the find; empty where that is not known."},
    )
    substrate = fields.String(
        load_default="",
        validate=validate.OneOf(("", *SUBSTRATES)),
        metadata={"description": "What the find grows on; empty where that is not known."},
    )
    priors = fields.List(
        fields.String(validate=validate.OneOf([*PRIORS, "none"])),
        load_default=None,
        metadata={
            "description": "Priors to apply; repeat the part for each, or `none`. "
            "Left out: season, place, habitat and substrate, as far as they are given."
        },
    )
    within = fields.List(
        fields.Integer(validate=validate.Range(0, 2**63 - 1)),
        load_default=list,
        metadata={"description": "Taxon ids that the find surely belongs to."},
    )
    aspects = fields.List(
        fields.String(validate=validate.OneOf(ASPECTS)),
        load_default=list,
        metadata={"description": "What each photo shows, in their order, or nothing at all."},
    )
    target = fields.Float(
        load_default=TARGET,
        validate=validate.Range(0.5, 1, max_inclusive=False),
        metadata={"description": "Share of answers to be right; decides how specific the answer dares to be."},
    )
    fusion = fields.String(
        load_default=LEARNED,
        validate=validate.OneOf((LEARNED, *FUSIONS)),
        metadata={"description": "How photos are fused; `learned`: as calibration found best for the collection."},
    )
    noReject = fields.Boolean(  # noqa: N815 - a name of the API
        load_default=False, metadata={"description": "Rank even what is probably none of the flora's species."}
    )
    partial_answer = partial_field()


class IdentifyObservation(Observation, IdentifyOptionsSchema):
    """Photos of one find, where to look, and how many candidates to list."""


class EmbedPhotos(Observation, ViewOptionsSchema):
    """Photos to embed."""


def read_view_options(form: Mapping[str, Any]) -> ViewOptions:
    """How a loaded form wants its photos looked at; raises InvalidOption for a box that is none."""
    return ViewOptions(tuple(read_box(text) for text in form.get("boxes", ())), form.get("augmentation", "none"))


def read_box(text: str) -> Box | None:
    """`left,top,width,height` in shares; None for an empty one."""
    if not text.strip():
        return None
    try:
        left, top, width, height = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidOption(
            "a box is left,top,width,height, four shares of the photo such as 0.25,0.1,0.5,0.8"
        ) from error
    return Box(left, top, width, height)


def read_options(form: Mapping[str, Any]) -> IdentifyOptions:
    """The options of a loaded form; raises InvalidOption for half a place."""
    place = (form["latitude"], form["longitude"])
    if (place[0] is None) != (place[1] is None):
        raise InvalidOption("give both latitude and longitude, or neither")
    priors = form["priors"]
    return IdentifyOptions(
        coordinates=None if place[0] is None else place,
        day=form["date"],
        habitat=form.get("habitat", ""),
        substrate=form.get("substrate", ""),
        priors=None if priors is None else tuple(prior for prior in priors if prior != "none"),
        within=tuple(form["within"]),
        aspects=tuple(form["aspects"]),
        target=form["target"],
        fusion=form["fusion"],
        no_reject=form["noReject"],
        partial=form["partial"],
    )


PHOTO_PARTS: Final = ("photos", "images", "image")
"""What the part with a photo is called, here and in other contracts."""


class FormParser(FlaskParser):
    """Reads text and files of a multipart form together, as one thing."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012 - declared so by its base
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "files": None,  # let the schema decide
        "query": None,
    }

    def load_querystring(self, req: Request, schema: Schema) -> MultiDictProxy:
        """The query without the key that may stand in it, which is no filter."""
        asked = MultiDict((name, value) for name, value in req.args.items(multi=True) if name != "api-key")
        return MultiDictProxy(asked, schema)

    def load_files(self, req: Request, schema: Schema) -> MultiDictProxy:
        if req.mimetype != "multipart/form-data":
            part = next((name for name in PHOTO_PARTS if name in schema.fields), PHOTO_PARTS[0])
            raise UnsupportedMediaType(f"Send the photos as multipart/form-data, each in a part named `{part}`.")
        return MultiDictProxy(CombinedMultiDict([req.form, req.files]), schema)

    def load_json(self, req: Request, schema: Schema) -> Any:
        try:
            return super().load_json(req, schema)
        except (RecursionError, ValueError) as error:  # what webargs does not expect of Python's reader
            raise BadRequest("The body is nested too deeply, or has a number with too many digits.") from error


parser: Final = FormParser()


def upload_config(limits: PhotoLimits) -> dict[str, int]:
    """What Flask refuses while it reads a form: too many bytes, parts, or too much text."""
    return {
        "MAX_CONTENT_LENGTH": limits.photos * limits.bytes + SLACK,
        "MAX_FORM_PARTS": limits.photos + PARTS,
        "MAX_FORM_MEMORY_SIZE": SLACK,
    }


def read_photos(form: Mapping[str, Any], limits: PhotoLimits) -> list[bytes]:
    """The bytes of the photos of a loaded form.

    Raises NoPhoto, TooManyPhotos, PhotoTooLarge, UnreadablePhoto or UnsupportedPhoto; where there are several
    photos, the sentence says which it was.
    """
    files = [file for file in (*form["photos"], *form["images"]) if not left_empty(file)]
    check_count(len(files), limits)
    return [read_photo(file, f"photo {number} of {len(files)}", limits) for number, file in enumerate(files, start=1)]


def left_empty(file: FileStorage) -> bool:
    """Whether this is what a browser sends for a file that nobody chose: no name and no bytes."""
    return not file.filename and not file.stream.read(1)


def read_photo(file: FileStorage, name: str, limits: PhotoLimits) -> bytes:
    """Read one file, never more of it than is allowed."""
    file.stream.seek(0)
    photo = file.stream.read(limits.bytes + 1)
    if not photo:
        raise UnreadablePhoto(f"{name}: the file is empty")
    if len(photo) > limits.bytes:
        raise PhotoTooLarge(f"{name}: the file has more than {limits.bytes:,} bytes, which is the most accepted")
    try:
        sniff(photo)
    except IdentificationError as error:
        raise type(error)(f"{name}: {error}") from error
    return photo
