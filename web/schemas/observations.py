"""Response schemas of observations. No response contains details of a place that the caller may not see."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import url_for
from marshmallow import fields

from database.field.models import FieldObservation, Proposal, Verdict
from database.field.records import EDITABLE
from database.field.validation import stars_of, status_of
from database.field.verdicts import OPINIONS
from database.models import Taxon
from retrieval.domain import NOTICE
from web.http.access import Caller
from web.http.versions import version_of
from web.schemas.answers import Answer, about


class FieldTaxon(Answer):
    """A taxon of the catalogue."""

    taxon_id = fields.Integer(data_key="taxonID")
    scientific_name = fields.String()
    scientific_name_authorship = fields.String()
    taxon_rank = fields.String()


class PersonName(Answer):
    """A person, by display name."""

    id = fields.Integer()
    name = fields.String()


class FieldPhoto(Answer):
    """A photo of an observation, re-encoded without metadata."""

    sha256 = fields.String()
    url = fields.String()
    width = fields.Integer()
    height = fields.Integer()
    aspect = fields.String()


class Supporter(Answer):
    """A person who supports a proposal."""

    person = fields.Nested(PersonName)
    certainty = fields.String()
    kind = fields.String(metadata=about("propose or agree."))


class ProposalAnswer(Answer):
    """A taxon proposed for an observation."""

    taxon = fields.Nested(FieldTaxon)
    score = fields.Integer(allow_none=True, metadata=about("1 to 100; null where an expert alone stands for it."))
    stars = fields.Integer(metadata=about("3 approved, 2 likely, 1 suggestion."))
    status = fields.String()
    expert = fields.Nested(
        PersonName, allow_none=True, metadata=about("The expert who approved it, whatever the score.")
    )
    supporters = fields.List(fields.Nested(Supporter))
    ingredients = fields.Dict(metadata=about("What the score was worked out from; not where the place is obscured."))


class Suggested(Answer):
    """The engine's answer when the observation was recorded."""

    snapshot = fields.String()
    model = fields.String()
    flora = fields.String()
    calibrated = fields.Boolean()
    candidates = fields.List(fields.Dict(), metadata=about("taxonID, scientificName and score; best first."))
    created = fields.DateTime()
    notice = fields.String()


class FieldObservationAnswer(Answer):
    """One fungus, one person, one place and time."""

    id = fields.String(metadata=about("A UUID; it never changes."))
    url = fields.String()
    recorded_by = fields.Nested(PersonName)
    event_date = fields.Date(allow_none=True)
    decimal_latitude = fields.Float(allow_none=True)
    decimal_longitude = fields.Float(allow_none=True)
    coordinate_uncertainty_in_meters = fields.Float(allow_none=True)
    place_obscured = fields.Boolean(metadata=about("Whether others see a grid cell in place of the spot."))
    place_exact = fields.Boolean(metadata=about("Whether this answer has the spot as it was recorded."))
    obscured = fields.Boolean(metadata=about("Whether the person asked for that for this observation."))
    locality = fields.String()
    habitat = fields.String()
    substrate = fields.String()
    remarks = fields.String()
    licence = fields.String()
    taxon = fields.Nested(FieldTaxon, allow_none=True, metadata=about("Of the leading proposal."))
    status = fields.String(metadata=about("unidentified, suggestion, likely or approved."))
    score = fields.Integer(allow_none=True)
    stars = fields.Integer()
    by_expert = fields.Boolean(metadata=about("Approved by an expert: show the mark."))
    approved = fields.DateTime(allow_none=True)
    proposals = fields.List(fields.Nested(ProposalAnswer), metadata=about("The leading one first."))
    photos = fields.List(fields.Nested(FieldPhoto))
    suggestion = fields.Nested(Suggested, allow_none=True)
    created = fields.DateTime()
    modified = fields.DateTime()
    version = fields.String(metadata=about("Of what its person can change; send it back with a change."))


class FieldObservationsAnswer(Answer):
    """A page of observations."""

    observations = fields.List(fields.Nested(FieldObservationAnswer))
    next = fields.String(allow_none=True, metadata=about("Address of the next page; null on the last."))
    notice = fields.String(allow_none=True, metadata=about("Where nothing matches: what was looked for."))


class VerdictAnswer(Answer):
    """An identification, approval or withdrawal."""

    id = fields.Integer()
    person = fields.Nested(PersonName)
    kind = fields.String(metadata=about("propose, agree, withdraw, approve or unapprove."))
    taxon = fields.Nested(FieldTaxon)
    certainty = fields.String()
    remarks = fields.String()
    created = fields.DateTime()
    superseded = fields.DateTime(allow_none=True, metadata=about("When a later word took its place; null: it stands."))


class History(Answer):
    """All verdicts on an observation, oldest first."""

    verdicts = fields.List(fields.Nested(VerdictAnswer))


def observation_answer(observation: FieldObservation, asking: Caller) -> dict[str, Any]:
    """Return an observation for a caller; only its owner, experts and administrators see an obscured place."""
    exact = not observation.is_obscured or asking.is_expert or owns(observation, asking)
    leading = sorted(observation.proposals, key=lambda one: (one.taxon_id != observation.taxon_id, -(one.score or 0)))
    return {
        "id": observation.key,
        "url": url_for("observations.show_observation", key=observation.key),
        "recordedBy": {"id": observation.person_id, "name": observation.person.name},
        "eventDate": observation.event_date,
        "decimalLatitude": observation.decimal_latitude if exact else observation.public_latitude,
        "decimalLongitude": observation.decimal_longitude if exact else observation.public_longitude,
        "coordinateUncertaintyInMeters": (
            observation.coordinate_uncertainty if exact else observation.public_uncertainty
        ),
        "placeObscured": observation.is_obscured,
        "placeExact": exact,
        "obscured": observation.obscured,
        "locality": observation.locality if exact else "",
        "habitat": observation.habitat,
        "substrate": observation.substrate,
        "remarks": observation.remarks,
        "licence": observation.licence,
        "taxon": taxon_answer(observation.taxon) if observation.taxon else None,
        "status": observation.status,
        "score": observation.score,
        "stars": stars_of(observation.status),
        "byExpert": observation.by_expert,
        "approved": zoned(observation.approved),
        "proposals": [proposal_answer(observation, proposal, exact=exact) for proposal in leading],
        "photos": [
            {
                "sha256": photo.sha256,
                "url": url_for("observations.draw_photo", key=observation.key, sha256=photo.sha256),
                "width": photo.width,
                "height": photo.height,
                "aspect": photo.aspect,
            }
            for photo in observation.photos
        ],
        "suggestion": suggestion_answer(observation),
        "created": zoned(observation.created),
        "modified": zoned(observation.modified),
        "version": observation_version(observation),
    }


def observation_version(observation: FieldObservation) -> str:
    """Return the version of what the owner can change: text, place, date, licence and photos."""
    photos = [(photo.sha256, photo.aspect) for photo in observation.photos]
    return version_of([[getattr(observation, name) for name in EDITABLE], photos])


def owns(observation: FieldObservation, asking: Caller) -> bool:
    """Return whether the caller recorded the observation."""
    return asking.person is not None and asking.person.id == observation.person_id


def proposal_answer(observation: FieldObservation, proposal: Proposal, *, exact: bool) -> dict[str, Any]:
    """Return a proposal with its supporters. Its score's inputs reveal the place, and are shown only with it."""
    status = status_of(proposal.score, by_expert=proposal.expert_id is not None)
    supporters = [
        verdict
        for verdict in observation.verdicts
        if verdict.superseded is None and verdict.kind in OPINIONS and verdict.taxon_id == proposal.taxon_id
    ]
    return {
        "taxon": taxon_answer(proposal.taxon),
        "score": proposal.score,
        "stars": stars_of(status),
        "status": status,
        "expert": {"id": proposal.expert.id, "name": proposal.expert.name} if proposal.expert else None,
        "supporters": [
            {
                "person": {"id": verdict.person_id, "name": verdict.person.name},
                "certainty": verdict.certainty,
                "kind": verdict.kind,
            }
            for verdict in supporters
        ],
        "ingredients": proposal.ingredients if exact else {},
    }


def suggestion_answer(observation: FieldObservation) -> dict[str, Any] | None:
    """Return the engine's answer, with its notice."""
    said = observation.suggestion
    if said is None:
        return None
    return {
        "snapshot": said.snapshot,
        "model": said.model,
        "flora": said.flora,
        "calibrated": said.calibrated,
        "candidates": said.candidates,
        "created": zoned(said.created),
        "notice": NOTICE,
    }


def verdict_answer(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict with its person and taxon."""
    return {
        "id": verdict.id,
        "person": {"id": verdict.person_id, "name": verdict.person.name},
        "kind": verdict.kind,
        "taxon": taxon_answer(verdict.taxon),
        "certainty": verdict.certainty,
        "remarks": verdict.remarks,
        "created": zoned(verdict.created),
        "superseded": zoned(verdict.superseded),
    }


def taxon_answer(taxon: Taxon) -> dict[str, Any]:
    """Return a taxon of the catalogue."""
    return {
        "taxonID": taxon.id,
        "scientificName": taxon.scientific_name,
        "scientificNameAuthorship": taxon.scientific_name_authorship,
        "taxonRank": taxon.taxon_rank,
    }


def zoned(moment: datetime | None) -> datetime | None:
    """Return a time from the database, which stores UTC, with its time zone."""
    return moment.replace(tzinfo=UTC) if moment is not None else None
