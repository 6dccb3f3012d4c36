"""The answers of the API, as in the OpenAPI document. Names in JSON are from Darwin Core where it has one."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from retrieval.ranking.calibration import SHARE_MEANING

Field = fields.Field[Any]


def about(text: str) -> dict[str, str]:
    """Return metadata with a description for the OpenAPI document."""
    return {"description": text}


class Answer(Schema):
    """Base of answers: a field `per_photo` is `perPhoto` in JSON and in the values it is made from."""

    def on_bind_field(self, field_name: str, field_obj: Field) -> None:
        first, *rest = field_name.split("_")
        field_obj.data_key = field_obj.data_key or first + "".join(part.capitalize() for part in rest)
        field_obj.attribute = field_obj.data_key


class VernacularName(Answer):
    """A common name."""

    language = fields.String(metadata=about("BCP 47; empty if the source does not give it."))
    vernacular_name = fields.String()


class Taxon(Answer):
    """An accepted taxon. Unknown values are omitted."""

    taxon_id = fields.Integer(data_key="taxonID")
    scientific_name = fields.String(metadata=about("Without authorship."))
    scientific_name_authorship = fields.String()
    taxon_rank = fields.String()
    family = fields.String()
    genus = fields.String()
    vernacular_names = fields.List(fields.Nested(VernacularName))
    gbif_key = fields.Integer()
    toxicity = fields.String(metadata=about("Toxicity according to a source. Absence does not mean harmless."))


class Taxa(Answer):
    """Taxa that match the typed text."""

    taxa = fields.List(fields.Nested(Taxon), metadata=about("The most likely first."))
    snapshot = fields.String()


class Ancestor(Answer):
    """A node of a taxon's lineage."""

    taxon_id = fields.Integer(data_key="taxonID")
    scientific_name = fields.String()
    taxon_rank = fields.String()


class ReferencePhoto(Answer):
    """A reference photo. It must be shown with its author and licence."""

    photo = fields.String(metadata=about("SHA-256 of the photo; its id."))
    url = fields.String(metadata=about("URL of the image: JPEG, re-encoded without metadata."))
    observation = fields.String()
    author = fields.String()
    licence = fields.String()
    source = fields.String(metadata=about("URL or name of the photo's source; may be empty."))
    aspect = fields.String(metadata=about("cap, hymenium, stipe, section, habitat, microscopy, or empty."))


class Evidence(ReferencePhoto):
    """A reference photo that is similar to a photo of the query."""

    similarity = fields.Float(metadata=about("Cosine: 1 is the same picture, 0 is unrelated."))
    query_photo = fields.Integer(metadata=about("The photo of the query that is most similar to it, counted from 0."))


class SimilarReference(Evidence):
    """A similar reference photo with its taxon."""

    taxon = fields.Nested(Taxon)


class Lookalike(Answer):
    """A species that this one is often confused with, as the evaluation found."""

    taxon = fields.Nested(Taxon)
    confused_share = fields.Float(metadata=about("Share of this species' observations that were taken for the other."))
    toxic = fields.Boolean(metadata=about("A source calls the other toxic. False does not mean that it is harmless."))


class Candidate(Answer):
    """A taxon that the observation may be, with its evidence."""

    taxon = fields.Nested(Taxon)
    score = fields.Float(metadata=about("From photos and priors together; see scoreMeaning."))
    prior = fields.Float(metadata=about("Factor by which the priors multiply the share, before normalisation."))
    priors = fields.Dict(
        keys=fields.String(), values=fields.Float(), metadata=about("The same for each applied prior.")
    )
    expected_here = fields.Boolean(metadata=about("Recorded around the place; omitted if unknown."))
    expected_now = fields.Boolean(metadata=about("Recorded around the date; omitted if unknown."))
    expected_in_habitat = fields.Boolean(metadata=about("Recorded in the habitat; omitted if unknown."))
    expected_on_substrate = fields.Boolean(metadata=about("Recorded on the substrate; omitted if unknown."))
    lookalikes = fields.List(fields.Nested(Lookalike))
    share = fields.Float(metadata=about(SHARE_MEANING))
    share_per_photo = fields.List(fields.Float(), metadata=about("The share from each photo alone."))
    evidence = fields.List(fields.Nested(Evidence), metadata=about("Reference photos that voted; only for species."))


class Specificity(Answer):
    """The deepest taxon that is probable enough."""

    taxon = fields.Nested(Taxon, allow_none=True)
    probability = fields.Float()
    depth = fields.Integer(metadata=about("kingdom 1 to species 7; 0 for none."))
    threshold = fields.Float()
    target = fields.Float(metadata=about("Target share of right answers."))
    calibrated = fields.Boolean()
    words = fields.String()


class Rejection(Answer):
    """Whether the photos show none of the flora's species."""

    rejected = fields.Boolean()
    none_of_these = fields.Float()
    similarity = fields.Float(metadata=about("Of the closest reference photo."))
    reason = fields.String()


class ListVerdict(Answer):
    """The probability that the species is not on the flora's list."""

    off_list = fields.Float(metadata=about("Probability of all species that are not on the list, together."))
    none_of_this_list = fields.Float(metadata=about("The same and `noneOfThese`."))
    probable = fields.Boolean(metadata=about("Whether it is more probably off the list than on it."))
    most_like = fields.Nested(Taxon, allow_none=True, metadata=about("The most probable species that is not on it."))
    words = fields.String(metadata=about("A sentence, where that is probable."))


class PhotoRank(Answer):
    """A species in the ranking of a single photo."""

    taxon_id = fields.Integer(data_key="taxonID")
    scientific_name = fields.String()
    share = fields.Float()


class NotSearched(Answer):
    """What was not searched, because a shard did not respond."""

    parts = fields.List(fields.Integer(), metadata=about("Numbers of the shards."))
    species = fields.Integer(metadata=about("Species of which some or all reference photos were not compared."))
    references = fields.Integer()
    genera = fields.List(fields.String(), metadata=about("Of these species."))


class Identification(Answer):
    """Ranked species for the photos of one observation."""

    not_searched = fields.Nested(NotSearched, metadata=about("Only with `partial`, if a shard did not respond."))
    species = fields.List(fields.Nested(Candidate), metadata=about("Best first."))
    genera = fields.List(fields.Nested(Candidate), metadata=about("Each the sum of its species."))
    families = fields.List(fields.Nested(Candidate), metadata=about("Each the sum of its species."))
    not_on_the_list = fields.List(
        fields.Nested(Candidate), metadata=about("More similar species that are not on the flora's list.")
    )
    flora = fields.String()
    photos = fields.Integer()
    share_meaning = fields.String()
    score_meaning = fields.String()
    calibrated = fields.Boolean(metadata=about("Whether scores were calibrated on held-out observations."))
    fusion = fields.String()
    priors_applied = fields.List(fields.String())
    specificity = fields.Nested(Specificity, allow_none=True)
    rejection = fields.Nested(Rejection, allow_none=True)
    flora_list = fields.Nested(
        ListVerdict, allow_none=True, metadata=about("Null for the world, and if scores are not calibrated.")
    )
    effective_photos = fields.Float(metadata=about("Number of photos, with near-identical ones counted once."))
    same_photos = fields.List(
        fields.List(fields.Integer()), metadata=about("Groups of near-identical photos, counted from 0.")
    )
    unlike_photos = fields.List(
        fields.List(fields.Integer()), metadata=about("Pairs of photos that look like two finds, counted from 0.")
    )
    photo_rankings = fields.List(fields.List(fields.Nested(PhotoRank)), metadata=about("Ranking of each photo."))
    deciding_photo = fields.Integer(allow_none=True, metadata=about("The most decisive photo, counted from 0."))
    photo_aspects = fields.List(fields.String(), metadata=about("The aspect of each photo; empty if unknown."))
    aspects_told = fields.Boolean(metadata=about("Whether the aspects were predicted from the photos."))
    snapshot = fields.String()
    model = fields.String()
    notice = fields.String()


class Named(Answer):
    """An answer with its source."""

    snapshot = fields.String(metadata=about("The snapshot that was searched."))
    model = fields.String(metadata=about("The model whose embeddings are compared."))
    notice = fields.String(metadata=about("To be shown with the answer."))


class SimilarReferences(Named):
    """The reference photos most similar to any of the photos."""

    not_searched = fields.Nested(NotSearched, metadata=about("Only with `partial`, if a shard did not respond."))
    references = fields.List(fields.Nested(SimilarReference), metadata=about("Best first, each once."))
    flora = fields.String()
    photos = fields.Integer(metadata=about("Photos or embeddings that were compared."))
    cursor = fields.String(allow_none=True, metadata=about("For the next page of the same query; null on the last."))
    next = fields.String(allow_none=True, metadata=about("URL of the next page, if the query has one."))


class EmbeddingRows(Named):
    """Embeddings of photos."""

    embeddings = fields.List(fields.List(fields.Float()), metadata=about("A row of length 1 for each photo."))
    dimension = fields.Integer(metadata=about("Length of a row."))


class Flora(Answer):
    """A region's checklist, and how many of its species have reference photos."""

    id = fields.String()
    title = fields.String()
    species = fields.Integer(metadata=about("Species on the checklist."))
    covered = fields.Integer(metadata=about("Species of the checklist with reference photos."))
    missing = fields.Integer(metadata=about("Species without reference photos, which can never be suggested."))
    references = fields.Integer()
    url = fields.String()
    species_url = fields.String()


class FloraAnswer(Flora, Named):
    """A flora of the published snapshot."""


class Floras(Named):
    """All floras of the published snapshot, the whole world first."""

    floras = fields.List(fields.Nested(Flora))


class FloraSpecies(Answer):
    """A species of a flora."""

    taxon = fields.Nested(Taxon)
    references = fields.Integer(metadata=about("Its reference photos; 0 means that it can never be suggested."))
    url = fields.String()


class SpeciesPage(Named):
    """Some species of a flora, by ascending taxon id."""

    species = fields.List(fields.Nested(FloraSpecies))
    total = fields.Integer(metadata=about("Species that match the filter, on all pages."))
    covered = fields.Integer(metadata=about("Of these, with reference photos."))
    missing = fields.Integer(metadata=about("Of these, without reference photos."))
    next = fields.String(allow_none=True, metadata=about("URL of the next page; null on the last."))
    flora = fields.String()


class AspectCount(Answer):
    """How many reference photos show a part of the fungus."""

    aspect = fields.String(metadata=about("Empty if unknown."))
    photos = fields.Integer()


class MapCell(Answer):
    """A map cell, about 45 km across, in which a species was recorded."""

    cell = fields.String(metadata=about("H3 index at resolution 4."))
    decimal_latitude = fields.Float(metadata=about("Latitude of the cell's centre."))
    decimal_longitude = fields.Float(metadata=about("Longitude of the cell's centre."))
    records = fields.Integer()


class DatasetCredit(Answer):
    """A dataset of reference photos, to be credited wherever they are shown. Unknown values are omitted."""

    dataset = fields.String()
    photos = fields.Integer()
    title = fields.String()
    citation = fields.String()
    licence = fields.String()


class Species(Named):
    """A species with its names, its lineage, and some of its reference photos."""

    taxon = fields.Nested(Taxon)
    lineage = fields.List(fields.Nested(Ancestor), metadata=about("From the highest rank to the species itself."))
    synonyms = fields.List(fields.String())
    references = fields.Integer(metadata=about("Its reference photos, on all pages."))
    photos = fields.List(fields.Nested(ReferencePhoto))
    next = fields.String(allow_none=True, metadata=about("URL of the next photos; null on the last page."))
    aspects = fields.List(fields.Nested(AspectCount), metadata=about("Of all its reference photos."))
    months = fields.List(fields.Integer(), metadata=about("Records in each month, January first."))
    cells = fields.List(fields.Nested(MapCell), metadata=about("Cells with records; most records first."))
    lookalikes = fields.List(fields.Nested(Lookalike))
    credits = fields.List(fields.Nested(DatasetCredit))


class ReplicaHealth(Answer):
    """A replica of a shard on the cluster."""

    replica = fields.Integer()
    alive = fields.Boolean(metadata=about("It sent a heartbeat in the last seconds."))
    node = fields.String()
    snapshots = fields.List(fields.String(), metadata=about("Open snapshots, the latest last."))
    memory = fields.Integer(metadata=about("Private bytes, without memory-mapped files."))
    index = fields.String(metadata=about("The device that it searches on."))


class PartHealth(Answer):
    """A shard of the references on the cluster."""

    part = fields.Integer()
    replicas = fields.List(fields.Nested(ReplicaHealth))


class ServerHealth(Answer):
    """The health of the server."""

    cluster = fields.List(
        fields.Nested(PartHealth), metadata=about("The shards, if references are searched on a cluster.")
    )

    status = fields.String(
        metadata=about(
            "ok; degraded: an older snapshot than the published one is in use, or replicas of the cluster are missing; "
            "starting; unavailable."
        )
    )
    detail = fields.String(metadata=about("What is wrong and who can act; empty if all is well."))
    snapshot = fields.String(allow_none=True)
    model = fields.String(allow_none=True)
    references = fields.Integer()
    floras = fields.Integer()
    index = fields.String(
        metadata=about("What floras are searched on: cpu, with the reason if a GPU was requested, or the GPUs.")
    )


class ReadinessCheck(Answer):
    """One thing that the server needs."""

    name = fields.String(metadata=about("snapshot, model, database, counts, disk, or a shard of the cluster."))
    state = fields.String(metadata=about("ok; degraded: requests are answered; unavailable: they fail."))
    detail = fields.String(metadata=about("What is wrong and who can act; empty if all is well."))


class Readiness(Answer):
    """Whether requests can be answered."""

    ready = fields.Boolean()
    checks = fields.List(fields.Nested(ReadinessCheck))


class Route(Answer):
    """A route of this API."""

    method = fields.String()
    path = fields.String()
    summary = fields.String()


class Overview(Answer):
    """An overview of the API."""

    title = fields.String()
    version = fields.String()
    openapi = fields.String(metadata=about("URL of the OpenAPI document."))
    docs = fields.String(metadata=about("URL of its documentation for people."))
    routes = fields.List(fields.Nested(Route))


class ProblemDetails(Answer):
    """An error, as problem details (RFC 9457)."""

    type = fields.String(metadata=about("The kind of problem: a URL that explains it, or about:blank."))
    title = fields.String()
    status = fields.Integer()
    detail = fields.String(metadata=about("A sentence for the person who can act."))
    errors = fields.Dict(
        keys=fields.String(), values=fields.List(fields.String()), metadata=about("Errors of each value.")
    )
