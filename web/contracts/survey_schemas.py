"""Request and response schemas of Pl@ntNet's survey: one photo of many organisms, by tiles."""

from __future__ import annotations

from marshmallow import fields, validate

from web.contracts.openapi import ContractQuery
from web.contracts.plantnet_schemas import PhotoForm
from web.schemas.answers import Answer, about


class TilingForm(ContractQuery):
    """How a photo is cut into tiles."""

    tile_size = fields.Integer(load_default=518, validate=validate.Range(100, 2000), metadata=about("Pixels."))
    tile_stride = fields.Integer(load_default=259, validate=validate.Range(50, 2000), metadata=about("Pixels."))
    size_factor = fields.Float(load_default=2**0.5, validate=validate.Range(1.1, 4), metadata=about("Of tiles."))
    multi_scale = fields.Boolean(load_default=False, metadata=about("Larger tiles, too, up to the whole photo."))


class SurveyForm(PhotoForm, TilingForm):
    """A photo of many organisms, and the options of its survey."""

    min_score = fields.Float(load_default=0.1, validate=validate.Range(0, 1))
    max_rank = fields.Integer(load_default=1, validate=validate.Range(1, 10))
    show_species = fields.Boolean(load_default=True)
    show_genus = fields.Boolean(load_default=True)
    show_family = fields.Boolean(load_default=True)
    show_embeddings = fields.Boolean(load_default=False, metadata=about("Adds the embedding of each tile."))


class CostQuery(TilingForm):
    """The size of a photo, and how it would be tiled."""

    size = fields.String(
        required=True,
        validate=validate.Regexp(r"^\s*[1-9]\d{0,4}\s*[xX×]\s*[1-9]\d{0,4}\s*$", error="The size is `WIDTHxHEIGHT`."),
        metadata=about("Of the photo in pixels: `3200x2400`."),
    )


class Centre(Answer):
    """A point in pixels of the photo, from its upper left corner."""

    x = fields.Integer()
    y = fields.Integer()


class TileLocation(Answer):
    """A tile in which a taxon was found, or that was rejected."""

    center = fields.Nested(Centre)
    size = fields.Integer(metadata=about("Pixels of a side."))
    score = fields.Float()
    organ = fields.String(metadata=about("An aspect of the fungus, or `other`."))


class SurveyedTaxon(Answer):
    """A taxon found in tiles; or the rejected tiles, which have `reject` and no name."""

    name = fields.String(metadata=about("With its author."))
    id = fields.String()
    gbif_id = fields.String(data_key="gbif_id", metadata=about("Empty where it is not known."))
    binomial = fields.String(metadata=about("Without author."))
    author = fields.String()
    genus = fields.String()
    family = fields.String()
    reject = fields.String(metadata=about("Why the tiles were rejected; taxa do not have it."))
    coverage = fields.Float(metadata=about("Share of the photo that these tiles cover."))
    max_score = fields.Float(data_key="max_score")
    count = fields.Integer(metadata=about("Tiles in which it was found."))
    location = fields.List(fields.Nested(TileLocation))


class SurveyedImage(Answer):
    """The photo."""

    name = fields.String()
    width = fields.Integer()
    height = fields.Integer()
    nb_sub_queries = fields.Integer(data_key="nb_sub_queries")
    nb_matching_sub_queries = fields.Integer(data_key="nb_matching_sub_queries")
    uncovered = fields.Float()


class TileEmbedding(Answer):
    """The embedding of a tile."""

    center = fields.Nested(Centre)
    size = fields.Integer()
    embeddings = fields.List(fields.Float())


class Surveyed(Answer):
    """The results of a survey."""

    tile_size = fields.Integer(data_key="tile_size")
    tile_stride = fields.Integer(data_key="tile_stride")
    nb_sub_queries = fields.Integer(data_key="nb_sub_queries")
    nb_matching_sub_queries = fields.Integer(data_key="nb_matching_sub_queries")
    uncovered = fields.Float(metadata=about("Share of the photo outside of all tiles with a taxon."))
    image = fields.Nested(SurveyedImage)
    species = fields.List(fields.Nested(SurveyedTaxon))
    genus = fields.List(fields.Nested(SurveyedTaxon))
    family = fields.List(fields.Nested(SurveyedTaxon))
    embeddings = fields.List(fields.Nested(TileEmbedding), metadata=about("Where `show_embeddings` asks for them."))


class TilingAnswer(Answer):
    """The tiling of the photo."""

    project = fields.String()
    tile_size = fields.Integer(data_key="tile_size")
    tile_stride = fields.Integer(data_key="tile_stride")
    size_factor = fields.Float(data_key="size_factor")
    multi_scale = fields.Boolean(data_key="multi_scale")


class SurveyQuery(TilingAnswer):
    """The query."""

    images = fields.List(fields.String())
    organs = fields.List(fields.String())
    min_score = fields.Float(data_key="min_score")
    max_rank = fields.Integer(data_key="max_rank")


class Survey(Answer):
    """A survey of one photo."""

    status = fields.String()
    query = fields.Nested(SurveyQuery)
    results = fields.Nested(Surveyed)
    version = fields.String()
    remaining_identification_requests = fields.Integer()
    notice = fields.String()


class SurveyCost(Answer):
    """The cost of a survey in identifications."""

    estimated_cost = fields.Integer(data_key="estimated_cost", metadata=about("Identifications: one for each tile."))
    query = fields.Nested(TilingAnswer)
