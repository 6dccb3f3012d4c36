"""Request schemas of observations and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import RAISE, Schema, fields, pre_load, validate
from werkzeug.datastructures import FileStorage

from database.field.validation import CERTAINTIES, STATUSES
from retrieval.domain import ASPECTS, WORLD
from web.http.decimals import LATITUDES, Decimal
from web.photos.uploads import PhotoFile
from web.schemas.answers import about
from web.schemas.form_values import UUID, CleanText, EmptyableText, YesOrNo, an_id

LICENCES: Final = ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "all-rights-reserved")
"""Licences that a person can choose for their photos. Those accepted for the collection are its curator's choice."""

WORDS: Final = 2000  # characters of a remark, a habitat or a locality
HALF_EARTH: Final = 20_037_500  # metres


def text(means: str) -> EmptyableText:
    """Return a free-text field; null stands for empty."""
    return EmptyableText(validate=validate.Length(0, WORDS), metadata=about(means))


OPTIONAL: Final = (
    "eventDate",
    "decimalLatitude",
    "decimalLongitude",
    "coordinateUncertaintyInMeters",
    "taxonID",
    "id",
)


class Described(Schema):
    """Date, place and surroundings as given by a person; JSON names are those of Darwin Core."""

    class Meta:
        """Unknown fields are errors: a misspelt `obscured` must not make a place public."""

        unknown = RAISE

    csrf_token = CleanText(load_only=True, metadata=about("Of the pages' forms."))
    event_date = fields.Date(
        data_key="eventDate", allow_none=True, metadata=about("Day of the observation, YYYY-MM-DD.")
    )
    decimal_latitude = Decimal(
        data_key="decimalLatitude",
        allow_none=True,
        validate=LATITUDES,
        metadata=about("Degrees, WGS 84."),
    )
    decimal_longitude = Decimal(
        data_key="decimalLongitude",
        allow_none=True,
        validate=validate.Range(-180, 180),
        metadata=about("Goes with latitude."),
    )
    coordinate_uncertainty = Decimal(
        data_key="coordinateUncertaintyInMeters",
        allow_none=True,
        validate=validate.Range(0, HALF_EARTH, min_inclusive=False),
        metadata=about("Metres by which the place may be wrong."),
    )
    obscured = YesOrNo(metadata=about("Show the place to others as a grid cell of 0.2 degrees only; null: no."))
    locality = text("The place in words; not shown where the place is obscured.")
    habitat = text("What grows around it.")
    substrate = text("What it grows on.")
    remarks = text("Anything else.")
    licence = EmptyableText(
        validate=validate.OneOf(["", *LICENCES]),
        metadata=about("Of text and photos; empty or null: not stated."),
    )

    @pre_load
    def empty_is_none(self, data: Any, **_: Any) -> Any:
        """Replace empty values by null: unknown, or to be removed."""
        if not isinstance(data, Mapping):
            return data  # validation reports the error
        return {name: None if name in OPTIONAL and data[name] == "" else data[name] for name in data}


class ObservationChanges(Described):
    """Changes to an observation, and the version that they are based on."""

    version = CleanText(
        allow_none=True, validate=validate.Length(0, 64), metadata=about("Of the answer that was changed; or If-Match.")
    )


class Opinion(Schema):
    """The taxon a person proposes for an observation, and their certainty."""

    class Meta:
        """Unknown fields are ignored."""

        unknown = RAISE

    taxon_id = an_id("Of the catalogue.", data_key="taxonID")
    scientific_name = CleanText(
        data_key="scientificName",
        load_default="",
        validate=validate.Length(0, 255),
        metadata=about("In place of the id; synonyms are understood."),
    )
    certainty = CleanText(
        load_default="certain",
        validate=validate.OneOf(list(CERTAINTIES)),
        metadata=about("certain weighs whole, probable half, possible a tenth."),
    )
    remarks = text("Why.")


class Approval(Opinion):
    """An expert's approval of an identification."""

    class Meta:
        """Unknown fields are ignored, as is a certainty."""

        unknown = RAISE
        exclude = ("certainty",)


class Withdrawal(Schema):
    """The reason for a withdrawal."""

    remarks = text("Why.")


class NewObservation(Described):
    """Photos of one observation, with the data given by the person."""

    id = CleanText(
        load_default=None,
        allow_none=True,
        validate=UUID,
        metadata=about("A UUID made by the client: sent again after a broken connection, nothing is recorded twice."),
    )
    photos: fields.List[FileStorage] = fields.List(
        PhotoFile(), load_default=list, metadata=about("JPEG, PNG, WebP or HEIC. Repeat the part for each.")
    )
    aspects = fields.List(
        CleanText(validate=validate.OneOf(["", *ASPECTS])),
        load_default=list,
        metadata=about("What each photo shows, in their order, empty where unknown; or nothing at all."),
    )
    taxon_id = an_id("Own proposal.", data_key="taxonID")
    scientific_name = CleanText(
        data_key="scientificName", load_default="", validate=validate.Length(0, 255), metadata=about("Own proposal.")
    )
    certainty = CleanText(
        load_default="certain", validate=validate.OneOf(list(CERTAINTIES)), metadata=about("Of the own proposal.")
    )
    suggest = fields.Boolean(load_default=True, metadata=about("Ask the engine, and keep what it says with it."))
    flora = CleanText(
        load_default=WORLD, validate=validate.Length(1, 64), metadata=about("Flora that the engine is asked in.")
    )
    readMetadata = fields.Boolean(  # noqa: N815 - a name of the API
        load_default=False,
        metadata=about("Take day and place from the photos where they are not given. They are never kept in a photo."),
    )


class MorePhotos(Schema):
    """More photos of the same observation."""

    class Meta:
        """Unknown fields are ignored."""

        unknown = RAISE

    csrf_token = CleanText(load_only=True, metadata=about("Of the pages' forms."))
    photos: fields.List[FileStorage] = fields.List(
        PhotoFile(), load_default=list, metadata=about("JPEG, PNG, WebP or HEIC. Repeat the part for each.")
    )
    aspects = fields.List(
        CleanText(validate=validate.OneOf(["", *ASPECTS])), load_default=list, metadata=about("As with the first.")
    )


class Search(Schema):
    """Criteria for listing observations."""

    taxon = an_id("Taxon id; everything below it too.")
    flora = CleanText(load_default="", metadata=about("Of the species of a flora of the published snapshot."))
    box = CleanText(load_default="", metadata=about("west,south,east,north in degrees; may cross the date line."))
    near = CleanText(load_default="", metadata=about("latitude,longitude: the nearest first."))
    radius = fields.Float(
        load_default=None,
        validate=validate.Range(0, 200, min_inclusive=False),
        metadata=about("Kilometres from near; 10 where it is left out."),
    )
    first_day = fields.Date(data_key="from", load_default=None, metadata=about("First day."))
    last_day = fields.Date(data_key="to", load_default=None, metadata=about("Last day."))
    status = fields.List(
        CleanText(validate=validate.OneOf(STATUSES)), load_default=list, metadata=about("Repeat for several.")
    )
    person = an_id("Id of whoever recorded it.")
    after = CleanText(load_default="", metadata=about("Cursor of the page before, as `next` has it."))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200), metadata=about("Observations on a page."))
