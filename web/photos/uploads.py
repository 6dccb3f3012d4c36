"""Uploaded photos and options of a request. Number, size and format of photos are checked before decoding.

File names and content types are ignored: phones send HEIC as octet-stream, and some clients send whole paths.
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
from retrieval.snapshots.manifest import STABLE
from web.http.decimals import LATITUDES, Decimal
from web.http.multipart import PartsParser

SLACK: Final = 1_000_000  # bytes of a form beside its photos
DETAILS: Final = ("brief", "full")
PARTS: Final = 64  # parts of a form besides the photos; above the limit, so that too many get a helpful refusal


class PhotoRequest(Request):
    """A request whose files stay in memory: no photo, and no place in its metadata, is written to disk."""

    form_data_parser_class = PartsParser

    def _get_file_stream(self, *_: Any, **__: Any) -> BytesIO:
        """Replace Werkzeug's method, which writes files over 500 kB to a temporary file."""
        return BytesIO()

    def _load_form_data(self) -> None:
        """Read the form; one that cannot be read is refused once, and empty to the page that says so."""
        try:
            super()._load_form_data()
        except BadRequest:
            self.__dict__.update(form=self.parameter_storage_class(), files=self.parameter_storage_class())
            raise


class PhotoFile(Upload):  # type: ignore[misc] # flask-smorest has no type information
    """A file in a form."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **other: Any) -> FileStorage:
        if not isinstance(value, FileStorage):
            raise ValidationError("This is text. Send each photo as a file: a part with a filename.")
        return value


def flora_field() -> fields.String:
    """Return the field for the flora to search."""
    return fields.String(
        load_default=WORLD,
        validate=validate.Length(min=1, max=500),
        metadata={
            "description": "Id of the flora to search; /api/v1/floras lists them. Or an ad-hoc flora as an expression, "
            "such as `north or south`, `taxon:Amanita and near:55.7,12.6`, `world under CC0-1.0`."
        },
    )


def line_field() -> fields.String:
    """Return the field for the published line that answers."""
    return fields.String(
        load_default=STABLE,
        validate=validate.Length(min=1, max=32),
        metadata={
            "description": "Which model answers, where the server has several: the name of a published line, which "
            "/healthz lists; `stable` by default."
        },
    )


def partial_field() -> fields.Boolean:
    """Return the field for whether partial results are accepted."""
    return fields.Boolean(
        load_default=False,
        data_key="partial",
        attribute="partial",  # `partial` is an attribute of schemas
        metadata={
            "description": "On a cluster: answer even if a shard does not respond, and list what was not searched in "
            "`notSearched`. Otherwise the status is 503."
        },
    )


class Strict(Schema):
    """A schema that refuses unknown members: with a misspelt `flora`, the answer would be for the whole world."""

    class Meta:
        """See above."""

        unknown = RAISE


class Observation(Strict):
    """Photos of one observation."""

    photos: fields.List[FileStorage] = fields.List(
        PhotoFile(),
        load_default=list,
        metadata={"description": "Photos of one observation: JPEG, PNG, WebP or HEIC. Repeat the part for each."},
    )
    images: fields.List[FileStorage] = fields.List(
        PhotoFile(), load_default=list, metadata={"description": "Alias of `photos`."}
    )


class ViewOptionsSchema(Strict):
    """Crops of the photos."""

    boxes = fields.List(
        fields.String(validate=validate.Length(max=100)),
        load_default=list,
        metadata={
            "description": "Region of interest of each photo, in their order, or none at all: "
            "`left,top,width,height` as fractions of the upright photo, such as `0.25,0.1,0.5,0.8`; "
            "empty for the whole photo."
        },
    )
    augmentation = fields.String(
        load_default="none",
        validate=validate.OneOf(AUGMENTATIONS),
        metadata={
            "description": "Crops whose embeddings are averaged: `two-scale` adds the centre, `full` uses 14 crops and "
            "takes 14 times as long."
        },
    )


class IdentifyOptionsSchema(ViewOptionsSchema):
    """Options of an identification."""

    flora = flora_field()
    detail = fields.String(
        load_default="full",
        validate=validate.OneOf(DETAILS),
        metadata={"description": "`brief` omits evidence, genera, families and the rankings of single photos."},
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
    date = fields.Date(load_default=None, metadata={"description": "Date of the observation, YYYY-MM-DD."})
    habitat = fields.String(
        load_default="",
        validate=validate.OneOf(("", *HABITATS)),
        metadata={"description": "Habitat of the observation; empty if unknown."},
    )
    substrate = fields.String(
        load_default="",
        validate=validate.OneOf(("", *SUBSTRATES)),
        metadata={"description": "Substrate of the fungus; empty if unknown."},
    )
    priors = fields.List(
        fields.String(validate=validate.OneOf([*PRIORS, "none"])),
        load_default=None,
        metadata={
            "description": "Priors to apply; repeat the part for each, or `none`. "
            "By default season, place, habitat and substrate, as far as they are given."
        },
    )
    within = fields.List(
        fields.Integer(validate=validate.Range(0, 2**63 - 1)),
        load_default=list,
        metadata={"description": "Taxon ids to which the candidates are limited."},
    )
    aspects = fields.List(
        fields.String(validate=validate.OneOf(["", *ASPECTS])),
        load_default=list,
        metadata={"description": "The aspect of each photo, in their order, empty where unknown; or none at all."},
    )
    target = fields.Float(
        load_default=TARGET,
        validate=validate.Range(0.5, 1, max_inclusive=False),
        metadata={"description": "Target share of right answers, which determines how specific the answer is."},
    )
    fusion = fields.String(
        load_default=LEARNED,
        validate=validate.OneOf((LEARNED, *FUSIONS)),
        metadata={"description": "How photos are fused; `learned`: as chosen by calibration for the collection."},
    )
    noReject = fields.Boolean(  # noqa: N815 - a name of the API
        load_default=False,
        metadata={"description": "Rank species even if the photos probably show none of the flora's."},
    )
    partial_answer = partial_field()


class IdentifyObservation(Observation, IdentifyOptionsSchema):
    """Photos of one observation, and the options of the identification."""

    model = line_field()


class EmbedPhotos(Observation, ViewOptionsSchema):
    """Photos to embed."""

    model = line_field()


def read_view_options(form: Mapping[str, Any]) -> ViewOptions:
    """Return the options of views of a validated form; raises InvalidOption for an invalid box."""
    return ViewOptions(tuple(read_box(text) for text in form.get("boxes", ())), form.get("augmentation", "none"))


def read_box(text: str) -> Box | None:
    """Parse `left,top,width,height` as fractions; None if empty. Raises InvalidOption."""
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
    """Return the options of a validated form; raises InvalidOption if only one coordinate is given."""
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
"""Names of the parts with photos, here and in the APIs of other services."""


class FormParser(FlaskParser):
    """Reads the texts and files of a multipart form together."""

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
        except (RecursionError, ValueError) as error:  # of Python's JSON parser, which webargs does not catch
            raise BadRequest("The body is nested too deeply, or has a number with too many digits.") from error


parser: Final = FormParser()


def upload_config(limits: PhotoLimits) -> dict[str, int]:
    """Return Flask's limits for forms: bytes, parts, and bytes of text."""
    return {
        "MAX_CONTENT_LENGTH": limits.photos * limits.bytes + SLACK,
        "MAX_FORM_PARTS": limits.photos + PARTS,
        "MAX_FORM_MEMORY_SIZE": SLACK,
    }


def read_photos(form: Mapping[str, Any], limits: PhotoLimits) -> list[bytes]:
    """Return the bytes of the photos of a validated form.

    Raises NoPhoto, TooManyPhotos, and with the photo's number PhotoTooLarge, UnreadablePhoto or UnsupportedPhoto.
    """
    files = [file for file in (*form["photos"], *form["images"]) if not left_empty(file)]
    check_count(len(files), limits)
    return [read_photo(file, f"photo {number} of {len(files)}", limits) for number, file in enumerate(files, start=1)]


def left_empty(file: FileStorage) -> bool:
    """Return whether no file was chosen: browsers then send one without a name and without bytes."""
    return not file.filename and not file.stream.read(1)


def file_bytes(file: FileStorage) -> bytes:
    """Return the bytes of an uploaded file; those that PhotoRequest holds in memory are not copied."""
    if isinstance(file.stream, BytesIO):
        return file.stream.getvalue()
    file.stream.seek(0)
    return file.stream.read()


def read_photo(file: FileStorage, name: str, limits: PhotoLimits) -> bytes:
    """Read a file up to the size limit; raises PhotoTooLarge, UnreadablePhoto or UnsupportedPhoto."""
    photo = file_bytes(file)
    if not photo:
        raise UnreadablePhoto(f"{name}: the file is empty")
    if len(photo) > limits.bytes:
        raise PhotoTooLarge(f"{name}: the file has more than {limits.bytes:,} bytes, which is the most accepted")
    try:
        sniff(photo)
    except IdentificationError as error:
        raise type(error)(f"{name}: {error}") from error
    return photo
