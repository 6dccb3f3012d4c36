"""Request and response schemas of the Pl@ntNet contract."""

from __future__ import annotations

from typing import Final

from marshmallow import fields, validate
from werkzeug.datastructures import FileStorage

from retrieval.domain import ASPECTS
from web.contracts.openapi import ContractQuery
from web.photos.uploads import PhotoFile
from web.schemas.answers import Answer, about
from web.services import services

ORGANS: Final = (
    "auto", "leaf", "flower", "fruit", "bark", "habit", "other", "branch", "scan", "drawing",
    "aerial", "sheet", "seed", "bud", "anatomy", *ASPECTS,
)  # fmt: skip
"""Pl@ntNet's organs (API 2.2.2), which are ignored for fungi, and this server's aspects."""

TYPES: Final = ("kt", "legacy")
MOST_RESULTS: Final = 100
LANGUAGE: Final = validate.Regexp(r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$", error="This is no code of a language.")


class LanguageQuery(ContractQuery):
    """Base of queries whose response contains common names."""

    lang = fields.String(load_default="en", validate=LANGUAGE, metadata=about("Language of common names."))
    type = fields.String(
        load_default="kt", validate=validate.OneOf(TYPES), metadata=about("Accepted; there is one taxonomy here.")
    )


class PlaceQuery(LanguageQuery):
    """A query with an optional place."""

    lat = fields.Float(load_default=None, validate=validate.Range(-90, 90), metadata=about("Latitude in degrees."))
    lon = fields.Float(load_default=None, validate=validate.Range(-180, 180), metadata=about("Longitude."))


def check_type(name: str) -> None:
    """Raise ValidationError for a type that is neither one of Pl@ntNet's nor a published line."""
    validate.OneOf((*TYPES, *services().published.lines()))(name)


class IdentifyQuery(PlaceQuery):
    """The options of an identification."""

    type = fields.String(
        load_default="kt",
        validate=check_type,
        metadata=about("`kt` and `legacy` are accepted; ours: the published line that answers."),
    )
    organs = fields.List(
        fields.String(validate=validate.OneOf(ORGANS)),
        load_default=list,
        metadata=about("What each photo shows: as many as photos, or none. Parts of the form, too."),
    )
    include_related_images = fields.Boolean(data_key="include-related-images", load_default=False)
    no_reject = fields.Boolean(data_key="no-reject", load_default=False)
    nb_results = fields.Integer(data_key="nb-results", load_default=10, validate=validate.Range(min=1))
    detailed = fields.Boolean(load_default=False, metadata=about("Adds genera and families."))


class IdentifyAddresses(IdentifyQuery):
    """The options of an identification of photos by URL."""

    images = fields.List(fields.String(), load_default=list, metadata=about("Addresses of photos of the same find."))


class IdentifyForm(ContractQuery):
    """Photos of one observation."""

    images: fields.List[FileStorage] = fields.List(PhotoFile(), load_default=list, metadata=about("Photos, 1 to 5."))
    organs = fields.List(fields.String(validate=validate.OneOf(ORGANS)), load_default=list)


class PhotoForm(ContractQuery):
    """One photo."""

    image: fields.List[FileStorage] = fields.List(PhotoFile(), load_default=list, metadata=about("One photo."))


class SpeciesQuery(LanguageQuery):
    """Filters of the list of species."""

    page_size = fields.Integer(data_key="pageSize", load_default=None, validate=validate.Range(1, 10_000))
    page = fields.Integer(load_default=None, validate=validate.Range(1, 1_000_000), metadata=about("From 1."))
    prefix = fields.String(load_default="", validate=validate.Length(max=100), metadata=about("Of a name."))
    images = fields.Boolean(load_default=False, metadata=about("Adds some reference photos of each; on pages only."))


class AlignQuery(LanguageQuery):
    """A name to match."""

    name = fields.String(required=True, validate=validate.Length(1, 200))
    authorship = fields.String(
        load_default="",
        validate=validate.Length(max=200),
        metadata=about("The author of the name; or true or false, whether `name` holds it, which is found out anyway."),
    )
    synonyms = fields.Boolean(load_default=True, metadata=about("Whether synonyms count."))
    fuzzy = fields.Boolean(load_default=True, metadata=about("Whether names that are nearly the same count."))


class DayQuery(ContractQuery):
    """A day."""

    day = fields.Date(load_default=None)


class YearQuery(ContractQuery):
    """A year."""

    year = fields.Integer(load_default=None, validate=validate.Range(2000, 2999))


class Names(Answer):
    """A name without author, its author, and both."""

    scientific_name_without_author = fields.String()
    scientific_name_authorship = fields.String()
    scientific_name = fields.String()


class PlantnetSpecies(Names):
    """A species with its genus and family."""

    genus = fields.Nested(Names)
    family = fields.Nested(Names)
    common_names = fields.List(fields.String())


class PhotoDate(Answer):
    """A day."""

    timestamp = fields.Integer(allow_none=True, metadata=about("Milliseconds; null where the day is not known."))
    string = fields.String(metadata=about("Empty where the day is not known."))


class Addresses(Answer):
    """URLs of a picture in three sizes."""

    o = fields.String()
    m = fields.String()
    s = fields.String()


class RelatedImage(Answer):
    """A reference photo that resembles the query."""

    organ = fields.String()
    author = fields.String()
    license = fields.String()
    date = fields.Nested(PhotoDate)
    citation = fields.String()
    url = fields.Nested(Addresses)


class Identifier(Answer):
    """An id in another catalogue."""

    id = fields.String()


class Result(Answer):
    """A candidate species. `gbif` is empty if the id is unknown; powo and iucn are omitted."""

    score = fields.Float()
    species = fields.Nested(PlantnetSpecies)
    images = fields.List(fields.Nested(RelatedImage))
    gbif = fields.Nested(Identifier)


class HigherResult(Answer):
    """A genus or family."""

    score = fields.Float()
    genus = fields.Nested(Names)
    family = fields.Nested(Names)
    gbif = fields.Nested(Identifier)
    images = fields.List(fields.Nested(RelatedImage))


class OtherResults(Answer):
    """Ranked genera and families."""

    genus = fields.List(fields.Nested(HigherResult))
    family = fields.List(fields.Nested(HigherResult))


class PlantnetQuery(Answer):
    """The query."""

    project = fields.String()
    images = fields.List(fields.String())
    organs = fields.List(fields.String())
    include_related_images = fields.Boolean()
    no_reject = fields.Boolean()
    type = fields.String()


class PredictedOrgan(Answer):
    """The organ of a photo, as given by the client."""

    image = fields.String()
    filename = fields.String()
    organ = fields.String()
    score = fields.Float()


class Identified(Answer):
    """An identification in the format of Pl@ntNet."""

    query = fields.Nested(PlantnetQuery)
    predicted_organs = fields.List(fields.Nested(PredictedOrgan))
    language = fields.String()
    prefered_referential = fields.String()
    switch_to_project = fields.String()
    best_match = fields.String()
    results = fields.List(fields.Nested(Result))
    other_results = fields.Nested(OtherResults)
    version = fields.String()
    remaining_identification_requests = fields.Integer()
    calibrated = fields.Boolean()
    notice = fields.String()


class ProjectAnswer(Answer):
    """A flora as a project."""

    id = fields.String()
    title = fields.String()
    description = fields.String()
    species_count = fields.Integer()


class ListedSpecies(Answer):
    """A species of a list: flat, unlike that of an identification."""

    id = fields.String()
    common_names = fields.List(fields.String())
    genus = fields.String()
    family = fields.String(metadata=about("Empty where it is not known."))
    scientific_name_without_author = fields.String()
    scientific_name_authorship = fields.String()
    gbif_id = fields.Integer(allow_none=True)
    powo_id = fields.String(allow_none=True)
    iucn_category = fields.String(allow_none=True)
    images = fields.List(fields.Nested(RelatedImage))


class AlignedSpecies(ListedSpecies):
    """A species with the way its name was matched."""

    match_type = fields.String(metadata=about("exact, synonym or close."))
    matching_name = fields.String(metadata=about("The name that was found: the accepted one or a synonym."))
    accepted_name = fields.String(metadata=about("With its author."))


class DayCount(Answer):
    """Number of identifications on a day."""

    count = fields.Integer()
    total = fields.Integer(metadata=about("1,000,000 where nothing is limited. A history has the count alone."))
    remaining = fields.Integer()


class PlantnetQuota(Answer):
    """Quota of each kind of query."""

    identify = fields.Nested(DayCount)


class Day(Answer):
    """A day with its counts."""

    day = fields.String()
    quota = fields.Nested(PlantnetQuota)


class Status(Answer):
    """The status of the server."""

    status = fields.String()


class Embedded(Answer):
    """The embedding of a photo."""

    embeddings = fields.List(fields.Float(), metadata=about("256 numbers, a vector of length 1."))
    version = fields.String(metadata=about("The model: embeddings of two models cannot be compared."))
