"""What the API answers, as the OpenAPI document describes it. Names in JSON are Darwin Core's where it has one."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from retrieval.ranking.calibration import SHARE_MEANING

Field = fields.Field[Any]


def about(text: str) -> dict[str, str]:
    """Metadata that the OpenAPI document shows."""
    return {"description": text}


class Answer(Schema):
    """Base of answers: a field `per_photo` is `perPhoto` in JSON and in the values it is made from."""

    def on_bind_field(self, field_name: str, field_obj: Field) -> None:
        first, *rest = field_name.split("_")
        field_obj.data_key = field_obj.data_key or first + "".join(part.capitalize() for part in rest)
        field_obj.attribute = field_obj.data_key


class VernacularName(Answer):
    """A common name."""

    language = fields.String(metadata=about("BCP 47; empty where the source does not say."))
    vernacular_name = fields.String()


class Taxon(Answer):
    """An accepted taxon. What is not known is left out."""

    taxon_id = fields.Integer(data_key="taxonID")
    scientific_name = fields.String(metadata=about("Without authorship."))
    scientific_name_authorship = fields.String()
    taxon_rank = fields.String()
    family = fields.String()
    genus = fields.String()
    vernacular_names = fields.List(fields.Nested(VernacularName))
    gbif_key = fields.Integer()
    toxicity = fields.String(metadata=about("What a source says of the taxon's poison. Absence says nothing."))


class Taxa(Answer):
    """Taxa that fit what was typed."""

    taxa = fields.List(fields.Nested(Taxon), metadata=about("The most likely first."))
    snapshot = fields.String()


class Ancestor(Answer):
    """A node of a taxon's lineage."""

    taxon_id = fields.Integer(data_key="taxonID")
    scientific_name = fields.String()
    taxon_rank = fields.String()


class ReferencePhoto(Answer):
    """A reference photo. Whoever shows it names its author and licence."""

    photo = fields.String(metadata=about("SHA-256 of the photo; its id."))
    url = fields.String(metadata=about("Its picture: JPEG, drawn anew without metadata."))
    observation = fields.String()
    author = fields.String()
    licence = fields.String()
    source = fields.String(metadata=about("Address or name of where the photo comes from; may be empty."))
    aspect = fields.String(metadata=about("cap, hymenium, stipe, section, habitat, microscopy, or empty."))


class Evidence(ReferencePhoto):
    """A reference photo that is similar to a photo of the query."""

    similarity = fields.Float(metadata=about("Cosine: 1 is the same picture, 0 is unrelated."))
    query_photo = fields.Integer(metadata=about("The photo of the query that it resembles most, counted from 0."))


class SimilarReference(Evidence):
    """A similar reference photo with its taxon."""

    taxon = fields.Nested(Taxon)


class Lookalike(Answer):
    """A species that this one is often confused with, as the evaluation found."""

    taxon = fields.Nested(Taxon)
    confused_share = fields.Float(metadata=about("Share of this species' observations that were taken for the other."))
    toxic = fields.Boolean(metadata=about("A source calls the other toxic. False says nothing."))


class Candidate(Answer):
    """A taxon that the find may be, with what speaks for it."""

    taxon = fields.Nested(Taxon)
    score = fields.Float(metadata=about("What photos and priors say together; scoreMeaning says what it means."))
    prior = fields.Float(metadata=about("By what the priors multiply the visual share, before all adds up to 1 again."))
    priors = fields.Dict(
        keys=fields.String(), values=fields.Float(), metadata=about("The same apart, for each prior that was applied.")
    )
    expected_here = fields.Boolean(metadata=about("Recorded around the place; left out where that is not known."))
    expected_now = fields.Boolean(metadata=about("Recorded around the day; left out where that is not known."))
    expected_in_habitat = fields.Boolean(metadata=about("Recorded in the habitat; left out where that is not known."))
    expected_on_substrate = fields.Boolean(metadata=about("Recorded on the substrate; left out where not known."))
    lookalikes = fields.List(fields.Nested(Lookalike))
    share = fields.Float(metadata=about(SHARE_MEANING))
    share_per_photo = fields.List(fields.Float(), metadata=about("The share that each photo alone would have given."))
    evidence = fields.List(fields.Nested(Evidence), metadata=about("The reference photos that voted; of species only."))


class Specificity(Answer):
    """How far the answer dares to go: the narrowest taxon that is sure enough."""

    taxon = fields.Nested(Taxon, allow_none=True)
    probability = fields.Float()
    depth = fields.Integer(metadata=about("kingdom 1 to species 7; 0 for nothing at all."))
    threshold = fields.Float()
    target = fields.Float(metadata=about("Share of answers to be right."))
    calibrated = fields.Boolean()
    words = fields.String()


class Rejection(Answer):
    """Whether the photos show any of the flora's species at all."""

    rejected = fields.Boolean()
    none_of_these = fields.Float()
    similarity = fields.Float(metadata=about("Of the closest reference photo."))
    reason = fields.String()


class ListVerdict(Answer):
    """How probable it is that it is of no species on the flora's list."""

    off_list = fields.Float(metadata=about("Probability of all species that are not on the list, together."))
    none_of_this_list = fields.Float(metadata=about("The same and `noneOfThese`."))
    probable = fields.Boolean(metadata=about("Whether it is more probably none of the list than one of it."))
    most_like = fields.Nested(Taxon, allow_none=True, metadata=about("The most probable species that is not on it."))
    words = fields.String(metadata=about("A sentence, where that is probable."))


class PhotoRank(Answer):
    """A species in the ranking that one photo alone would give."""

    taxon_id = fields.Integer(data_key="taxonID")
    scientific_name = fields.String()
    share = fields.Float()


class NotSearched(Answer):
    """What an answer is silent about, because a part of the references gave none."""

    parts = fields.List(fields.Integer(), metadata=about("Of the cluster, by number."))
    species = fields.Integer(metadata=about("Species whose reference photos, or some of them, were not compared."))
    references = fields.Integer()
    genera = fields.List(fields.String(), metadata=about("Of these species."))


class Identification(Answer):
    """Ranked species for the photos of one find."""

    not_searched = fields.Nested(
        NotSearched, metadata=about("Only where `partial` was asked for and a part of the references gave no answer.")
    )
    species = fields.List(fields.Nested(Candidate), metadata=about("Best first."))
    genera = fields.List(fields.Nested(Candidate), metadata=about("Each the sum of its species."))
    families = fields.List(fields.Nested(Candidate), metadata=about("Each the sum of its species."))
    not_on_the_list = fields.List(
        fields.Nested(Candidate), metadata=about("Species that look more similar, but are not on the flora's list.")
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
        ListVerdict, allow_none=True, metadata=about("Null for the world, and where scores are not calibrated.")
    )
    effective_photos = fields.Float(metadata=about("How many photos these are, near-identical ones counted once."))
    same_photos = fields.List(
        fields.List(fields.Integer()), metadata=about("Groups of photos that show the same, counted from 0.")
    )
    photo_rankings = fields.List(fields.List(fields.Nested(PhotoRank)), metadata=about("What each photo alone says."))
    deciding_photo = fields.Integer(allow_none=True, metadata=about("The photo that decided, counted from 0."))
    photo_aspects = fields.List(fields.String(), metadata=about("What each photo shows; nothing where not known."))
    aspects_told = fields.Boolean(metadata=about("Whether the aspects were told from the photos, not given."))
    snapshot = fields.String()
    model = fields.String()
    notice = fields.String()


class Named(Answer):
    """An answer that says where it comes from."""

    snapshot = fields.String(metadata=about("The published state that was asked."))
    model = fields.String(metadata=about("The model whose embeddings are compared."))
    notice = fields.String(metadata=about("Belongs beside what is shown."))


class SimilarReferences(Named):
    """The reference photos most similar to any of the photos."""

    not_searched = fields.Nested(
        NotSearched, metadata=about("Only where `partial` was asked for and a part of the references gave no answer.")
    )
    references = fields.List(fields.Nested(SimilarReference), metadata=about("Best first, each once."))
    flora = fields.String()
    photos = fields.Integer(metadata=about("Photos or embeddings that were compared."))
    cursor = fields.String(allow_none=True, metadata=about("For the next page of the same question; null on the last."))
    next = fields.String(allow_none=True, metadata=about("Its address, where the question has one."))


class EmbeddingRows(Named):
    """Embeddings of photos."""

    embeddings = fields.List(fields.List(fields.Float()), metadata=about("A row of length 1 for each photo."))
    dimension = fields.Integer(metadata=about("Numbers in a row."))


class Flora(Answer):
    """A region's species and how many of them have reference photos."""

    id = fields.String()
    title = fields.String()
    species = fields.Integer(metadata=about("Species on the checklist."))
    covered = fields.Integer(metadata=about("Species of the checklist with reference photos."))
    missing = fields.Integer(metadata=about("Species of the checklist without: these can never be suggested."))
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
    total = fields.Integer(metadata=about("Species that fit the filter, on all pages."))
    covered = fields.Integer(metadata=about("Of these, with reference photos."))
    missing = fields.Integer(metadata=about("Of these, without: they can never be suggested."))
    next = fields.String(allow_none=True, metadata=about("Address of the next page; null on the last."))
    flora = fields.String()


class AspectCount(Answer):
    """How many reference photos show a part of the fungus."""

    aspect = fields.String(metadata=about("Empty where nobody said."))
    photos = fields.Integer()


class MapCell(Answer):
    """A cell of the map, some 45 km across, in which a species was recorded."""

    cell = fields.String(metadata=about("H3 index at resolution 4."))
    decimal_latitude = fields.Float(metadata=about("Of the cell's centre."))
    decimal_longitude = fields.Float(metadata=about("Of the cell's centre."))
    records = fields.Integer()


class DatasetCredit(Answer):
    """A dataset that reference photos come from, to be named wherever they are shown. What is not known is left out."""

    dataset = fields.String()
    photos = fields.Integer()
    title = fields.String()
    citation = fields.String()
    licence = fields.String()


class Species(Named):
    """A species with its names, its place in the taxonomy, and some of its reference photos."""

    taxon = fields.Nested(Taxon)
    lineage = fields.List(fields.Nested(Ancestor), metadata=about("The widest first, the species itself last."))
    synonyms = fields.List(fields.String())
    references = fields.Integer(metadata=about("Its reference photos, on all pages."))
    photos = fields.List(fields.Nested(ReferencePhoto))
    next = fields.String(allow_none=True, metadata=about("Address of the next photos; null on the last page."))
    aspects = fields.List(fields.Nested(AspectCount), metadata=about("Of all its reference photos."))
    months = fields.List(fields.Integer(), metadata=about("Records in each month, January first."))
    cells = fields.List(fields.Nested(MapCell), metadata=about("Where it was recorded; the most records first."))
    lookalikes = fields.List(fields.Nested(Lookalike))
    credits = fields.List(fields.Nested(DatasetCredit))


class ReplicaHealth(Answer):
    """A process on the cluster that holds a part of the references."""

    replica = fields.Integer()
    alive = fields.Boolean(metadata=about("It gave a sign of life in the last seconds."))
    node = fields.String()
    snapshots = fields.List(fields.String(), metadata=about("That it has open, the one opened last at the end."))
    memory = fields.Integer(metadata=about("Bytes of its own, without the files that it maps."))
    index = fields.String(metadata=about("What it searches on."))


class PartHealth(Answer):
    """A part of the references on the cluster."""

    part = fields.Integer()
    replicas = fields.List(fields.Nested(ReplicaHealth))


class ServerHealth(Answer):
    """How the server is."""

    cluster = fields.List(
        fields.Nested(PartHealth), metadata=about("The parts of the references, where they are searched on a cluster.")
    )

    status = fields.String(
        metadata=about(
            "ok; degraded: answers from an older snapshot than the published, or processes of the cluster are missing; "
            "starting; unavailable."
        )
    )
    detail = fields.String(metadata=about("What is wrong and who can act; empty where all is well."))
    snapshot = fields.String(allow_none=True)
    model = fields.String(allow_none=True)
    references = fields.Integer()
    floras = fields.Integer()
    index = fields.String(
        metadata=about("What floras are searched on: cpu, with the reason where a GPU was asked for, or the GPUs.")
    )


class Route(Answer):
    """An address of this API."""

    method = fields.String()
    path = fields.String()
    summary = fields.String()


class Overview(Answer):
    """What is here."""

    title = fields.String()
    version = fields.String()
    openapi = fields.String(metadata=about("Address of the OpenAPI document."))
    docs = fields.String(metadata=about("Address of the same for people."))
    routes = fields.List(fields.Nested(Route))


class ProblemDetails(Answer):
    """What went wrong, as RFC 9457 has it."""

    type = fields.String(metadata=about("What kind of problem: an address that explains it, or about:blank."))
    title = fields.String()
    status = fields.Integer()
    detail = fields.String(metadata=about("A sentence for the person who can act."))
    errors = fields.Dict(
        keys=fields.String(), values=fields.List(fields.String()), metadata=about("What is wrong with each value.")
    )
