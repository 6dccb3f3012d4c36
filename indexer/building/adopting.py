"""Synchronises approved observations with the collection, as the dataset `observations` of reference photos.

Photos remain in the store of observations and the collection points to them, so a photo that its observer removes is
gone at once. Observations that are no longer approved, no longer exist, or no longer have an accepted licence are
removed from the dataset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from database.collection.imports import RejectionEntry, count_batch, dataset_kind, finish_run, start_run
from database.collection.observations import FiledPhoto, ObservationEntry, PhotoEntry, file_photos
from database.collection.photos import OBSERVED, OWN
from database.field.approved import ApprovedObservation, approved_ids, approved_observations, observation_page
from database.field.withdrawing import drop_unmet
from database.session import Database
from database.taxonomy.taxa import SPECIES
from indexer.curation.licences import POLICIES, canonical_licence, is_reserved, licence_family
from retrieval.errors import BuildError

BATCH = 200  # observations per transaction
TITLE = "Approved observations"
RESERVED = "all-rights-reserved"


@dataclass(frozen=True, slots=True)
class AdoptionReport:
    """Counts of photos of approved observations: accepted + refused = all of them."""

    accepted: int = 0
    added: int = 0  # of the accepted, those new in the collection
    removed: int = 0  # from the collection, since they may no longer be references
    refused: tuple[tuple[str, int], ...] = ()  # (reason, photos), most frequent first


def adopt_observations(database: Database, licences: str, page: str = "") -> AdoptionReport:
    """Synchronise the dataset of approved observations; idempotent.

    `licences` is a policy of `indexer.curation.licences.POLICIES`, or `none`. `page` is the server's public URL, for
    links from references to observations. Raises BuildError where an archive already has the dataset's id.
    """
    with database.reading() as session:
        ids, kind = approved_ids(session), dataset_kind(session, OWN)
    # Without observations there is nothing to write, so no write lock is taken.
    if kind != OWN and (not ids or licences == "none"):
        return AdoptionReport()
    if kind not in (None, OWN):
        raise BuildError(
            f"the dataset {OWN!r} of the catalogue is an archive of yours, and nothing is mixed into it: set"
            " FUNGARIUM_REFERENCE_LICENCES=none, so that approved observations do not become references"
        )
    with database.writing() as session:
        run = start_run(session, OWN, title=TITLE, kind=OWN, archive=OWN)
    accepted = added = 0
    reasons: Counter[str] = Counter()
    for start in range(0, len(ids), BATCH):
        with database.writing() as session:  # one transaction: no identification can be withdrawn in between
            found = list(approved_observations(session, ids[start : start + BATCH]))
            entries, refused = judge(found, licences, page)
            answers = file_photos(session, OWN, run, entries)
            for entry, answer in zip(entries, answers, strict=True):
                if not isinstance(answer, FiledPhoto):
                    refused.append(RejectionEntry(answer.reason, answer.detail, photo=entry.record_key))
            filed = [answer for answer in answers if isinstance(answer, FiledPhoto)]
            count_batch(session, run, accepted=len(filed), added=sum(one.added for one in filed), rejections=refused)
        accepted += len(filed)
        added += sum(one.added for one in filed)
        reasons.update(entry.reason for entry in refused)
    with database.writing() as session:
        removed = drop_unmet(session, OWN, run)
        finish_run(session, run)
    return AdoptionReport(
        accepted, added, removed, tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    )


def judge(
    observations: Sequence[ApprovedObservation], licences: str, page: str
) -> tuple[list[PhotoEntry], list[RejectionEntry]]:
    """Split photos into entries that may become references, and rejections."""
    entries: list[PhotoEntry] = []
    refused: list[RejectionEntry] = []
    for one in observations:
        code = canonical_licence(one.licence) or ""
        if fault := find_fault(one, code, licences):
            refused += [RejectionEntry(*fault, photo=f"{one.key}/{photo.sha256}") for photo in one.photos]
        else:
            entries += photo_entries(one, code, page)
    return entries, refused


def find_fault(one: ApprovedObservation, code: str, licences: str) -> tuple[str, str] | None:
    """Return why an observation may not become a reference, as (reason, detail), or None."""
    if one.name.rank != SPECIES:
        return "not-to-species", f"{one.name.scientific_name} is of rank {one.name.rank}"
    if licences == "none":
        return "licence-not-accepted", "observations do not become references here (FUNGARIUM_REFERENCE_LICENCES)"
    if not one.licence:
        return "licence-missing", "the observer has given no licence"
    if not code:
        reserved = one.licence == RESERVED or is_reserved(one.licence)
        return ("licence-reserved" if reserved else "licence-unknown"), f"licence {one.licence!r}"
    if licence_family(code) not in POLICIES[licences]:
        return "licence-not-accepted", f"licence {code} is not among those of the policy {licences!r}"
    return None


def photo_entries(one: ApprovedObservation, code: str, page: str) -> list[PhotoEntry]:
    """Make the collection's entries for an observation's photos."""
    seen = ObservationEntry(
        key=one.key,
        species=one.name.id,
        event_date=one.event_date,
        decimal_latitude=one.decimal_latitude,
        decimal_longitude=one.decimal_longitude,
        coordinate_uncertainty=one.coordinate_uncertainty,
        recorded_by=one.observer,
        habitat=one.habitat,
        substrate=one.substrate,
    )
    return [
        PhotoEntry(
            record_key=f"{one.key}/{photo.sha256}",
            observation=seen,
            sha256=photo.sha256,
            location=f"{OBSERVED}{photo.sha256}",
            byte_count=photo.byte_count,
            width=photo.width,
            height=photo.height,
            media_format="JPEG",
            creator=one.observer,
            licence=code,
            references=observation_page(page, one.key),
            aspect=photo.aspect,
            position=photo.position,
        )
        for photo in one.photos
    ]
