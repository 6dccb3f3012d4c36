"""Request and response schemas of the iNaturalist contract."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Final

from marshmallow import ValidationError, fields, validate
from werkzeug.datastructures import FileStorage

from web.contracts.openapi import ContractQuery
from web.photos.uploads import PhotoFile
from web.schemas.answers import Answer, about

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
NUMBERS: Final = re.compile(r"\s*(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?=$|[T\s])")  # 2024-09-10, or with a time
COMPACT: Final = re.compile(r"\s*(\d{4})(\d{2})(\d{2})(?=$|T)")
WORDS: Final = re.compile(
    r"\s*(?:[A-Za-z]{3},?\s+)?(?:([A-Za-z]{3})\s+(\d{1,2})|(\d{1,2})\s+([A-Za-z]{3})),?\s+(\d{4})\b"
)
"""`Tue Sep 10 2024 14:03:00 GMT+0200`, as printed by JavaScript, and `Tue, 10 Sep 2024`, as in e-mail."""


class LocalDay(fields.Date):
    """The local date of a date or time, without conversion between time zones."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> date:
        text = str(value)
        if found := NUMBERS.match(text):
            numbers = (found[1], found[3], found[4])
        elif found := COMPACT.match(text):
            numbers = (found[1], found[2], found[3])
        elif (found := WORDS.match(text)) and (name := (found[1] or found[4]).lower()) in MONTHS:
            numbers = (found[5], str(MONTHS.index(name) + 1), found[2] or found[3])
        else:
            raise ValidationError("This is no date. Send it as YYYY-MM-DD, with or without a time.")
        try:
            year, month, day = map(int, numbers)
            return date(year, month, day)
        except ValueError as error:
            raise ValidationError("There is no such day.") from error


class LocaleQuery(ContractQuery):
    """The language of names."""

    locale = fields.String(load_default=None, validate=validate.Length(max=16), metadata=about("Of common names."))


class ScoreQuery(LocaleQuery):
    """Where and when a photo was taken. Form fields of the same names take precedence."""

    lat = fields.Float(load_default=None, validate=validate.Range(-90, 90))
    lng = fields.Float(load_default=None, validate=validate.Range(-180, 180))
    observed_on = LocalDay(load_default=None, metadata=about("YYYY-MM-DD, or a moment of that day."))
    taxon_id = fields.String(
        load_default=None,
        validate=validate.Length(max=255),
        metadata=about("A taxon that the find surely belongs to: its id or name here, or its key at GBIF."),
    )
    flora = fields.String(load_default=None, validate=validate.Length(1, 64), metadata=about("Id of a flora; ours."))
    model = fields.String(
        load_default=None, validate=validate.Length(1, 32), metadata=about("The published line that answers; ours.")
    )


class ScoreForm(ScoreQuery):
    """A photo, and where and when it was taken."""

    image: fields.List[FileStorage] = fields.List(
        PhotoFile(), load_default=list, metadata=about("The photo; ours: repeat for the same find.")
    )


class AutocompleteQuery(LocaleQuery):
    """The beginning of a name."""

    q = fields.String(load_default="", validate=validate.Length(max=100), metadata=about("Of any name of a taxon."))
    per_page = fields.Integer(load_default=10, validate=validate.Range(1, 1000), metadata=about("30 at most."))
    rank = fields.String(load_default="", metadata=about("Ranks with commas between; all where none are named."))


class TaxonPhoto(Answer):
    """A reference photo."""

    url = fields.String()
    square_url = fields.String(data_key="square_url")
    medium_url = fields.String(data_key="medium_url")
    attribution = fields.String()
    attribution_name = fields.String(data_key="attribution_name")
    license_code = fields.String(data_key="license_code")


class ScoredTaxon(Answer):
    """A taxon in the format of iNaturalist."""

    id = fields.Integer()
    name = fields.String()
    rank = fields.String()
    rank_level = fields.Integer(data_key="rank_level")
    parent_id = fields.Integer(data_key="parent_id", allow_none=True)
    ancestry = fields.String(allow_none=True, metadata=about("Ids of all above it."))
    ancestor_ids = fields.List(fields.Integer(), data_key="ancestor_ids", metadata=about("Itself last."))
    iconic_taxon_id = fields.Integer(data_key="iconic_taxon_id", metadata=about("iNaturalist's own number."))
    iconic_taxon_name = fields.String(data_key="iconic_taxon_name")
    preferred_common_name = fields.String(data_key="preferred_common_name")
    is_active = fields.Boolean(data_key="is_active")
    default_photo = fields.Nested(TaxonPhoto, data_key="default_photo", allow_none=True)


class PhotoOfTaxon(Answer):
    """A reference photo of a taxon."""

    taxon_id = fields.Integer(data_key="taxon_id")
    photo = fields.Nested(TaxonPhoto)


class FullTaxon(ScoredTaxon):
    """A taxon with its ancestors and children."""

    ancestors = fields.List(fields.Nested(ScoredTaxon), metadata=about("The widest first."))
    children = fields.List(fields.Nested(ScoredTaxon))
    taxon_photos = fields.List(fields.Nested(PhotoOfTaxon), data_key="taxon_photos")


class MatchedTaxon(ScoredTaxon):
    """A taxon with its matching name."""

    matched_term = fields.String(data_key="matched_term")


class TaxonPage(Answer):
    """A page of taxa."""

    total_results = fields.Integer(data_key="total_results")
    page = fields.Integer()
    per_page = fields.Integer(data_key="per_page")
    results = fields.List(fields.Nested(FullTaxon))


class MatchedTaxa(TaxonPage):
    """Taxa with a name that begins with the query."""

    results = fields.List(fields.Nested(MatchedTaxon))


class Score(Answer):
    """A candidate species."""

    combined_score = fields.Float(data_key="combined_score", metadata=about("Percent: photos and priors."))
    vision_score = fields.Float(data_key="vision_score", metadata=about("Percent: the photos alone."))
    frequency_score = fields.Float(
        data_key="frequency_score", metadata=about("By what place and season multiply; 1 where nothing is known.")
    )
    taxon = fields.Nested(ScoredTaxon)


class CommonAncestor(Answer):
    """The narrowest taxon that is probable enough."""

    score = fields.Float()
    taxon = fields.Nested(ScoredTaxon)


class Scores(Answer):
    """Ranked species. `common_ancestor` is missing if not even the widest taxon is probable enough."""

    total_results = fields.Integer(data_key="total_results")
    page = fields.Integer()
    per_page = fields.Integer(data_key="per_page")
    common_ancestor = fields.Nested(CommonAncestor, data_key="common_ancestor")
    results = fields.List(fields.Nested(Score))
    rejected = fields.Boolean()
    snapshot = fields.String()
    model = fields.String()
    notice = fields.String()


class Original(Answer):
    """The message of an error."""

    error = fields.String()


class Wrapped(Answer):
    """An error as wrapped by iNaturalist."""

    original = fields.Nested(Original)


class InaturalistError(Answer):
    """An error."""

    error = fields.Nested(Wrapped)
    status = fields.Integer()
