"""Answers as JSON values and as text for a terminal. Fields are named after Darwin Core terms where possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from retrieval.domain import (
    RANKS,
    Candidate,
    Evidence,
    Identification,
    ListVerdict,
    Reference,
    Rejection,
    SkippedReferences,
    Taxon,
    TaxonomicSpecificity,
)
from retrieval.ranking.calibration import CALIBRATED_MEANING, SHARE_MEANING
from retrieval.snapshots.snapshot import Snapshot

CALIBRATED_SHARE = (
    "The visual score: what the photos alone say of all species with reference photos, from 0 to 1; before the flora's "
    'list, priors and "none of these" are considered.'
)


def taxon_json(taxon: Taxon, snapshot: Snapshot) -> dict[str, Any]:
    """Return a taxon with genus and family, with Darwin Core names; unknown values are omitted."""
    line = {node.rank: node.name for node in snapshot.taxonomy.lineage(taxon.id)}
    described: dict[str, Any] = {
        "taxonID": taxon.id,
        "scientificName": taxon.name,
        "scientificNameAuthorship": taxon.authorship,
        "taxonRank": taxon.rank,
        **{rank: line[rank] for rank in ("family", "genus") if rank in line},
        "vernacularNames": [
            {"language": language, "vernacularName": name}
            for language, name in snapshot.taxonomy.vernacular_names(taxon.id)
        ],
    }
    if taxon.gbif_key is not None:
        described["gbifKey"] = taxon.gbif_key
    toxicity = snapshot.taxonomy.toxicity(taxon.id)
    if toxicity:
        described["toxicity"] = toxicity
    return described


def reference_json(reference: Reference) -> dict[str, Any]:
    """Return a reference photo, always with author and licence."""
    return {
        "photo": reference.photo,
        "observation": reference.observation,
        "author": reference.author,
        "licence": reference.licence,
        "source": reference.source,
        "aspect": reference.aspect,
    }


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """Return a reference photo with its similarity and the most similar query photo (counted from 0)."""
    return {
        **reference_json(evidence.reference),
        "similarity": round(evidence.similarity, 6),
        "queryPhoto": evidence.photo,
    }


def candidate_json(candidate: Candidate, snapshot: Snapshot) -> dict[str, Any]:
    """Return a candidate with its taxon, scores, priors and evidence."""
    described: dict[str, Any] = {
        "taxon": taxon_json(candidate.taxon, snapshot),
        "score": round(candidate.score, 6),
        "share": round(candidate.share, 6),
        "sharePerPhoto": [round(share, 6) for share in candidate.per_photo],
        "prior": round(candidate.prior, 6),
        "evidence": [evidence_json(evidence) for evidence in candidate.evidence],
    }
    if candidate.priors:
        described["priors"] = {prior: round(factor, 6) for prior, factor in candidate.priors.items()}
    if candidate.expected_here is not None:
        described["expectedHere"] = candidate.expected_here
    if candidate.expected_now is not None:
        described["expectedNow"] = candidate.expected_now
    if candidate.expected_habitat is not None:
        described["expectedInHabitat"] = candidate.expected_habitat
    if candidate.expected_substrate is not None:
        described["expectedOnSubstrate"] = candidate.expected_substrate
    if candidate.lookalikes:
        described["lookalikes"] = [
            {
                "taxon": taxon_json(other.taxon, snapshot),
                "confusedShare": round(other.share, 4),
                "toxic": bool(other.toxicity),
            }
            for other in candidate.lookalikes
        ]
    return described


def specificity_json(
    specificity: TaxonomicSpecificity, snapshot: Snapshot, *, rejected: bool = False
) -> dict[str, Any]:
    """Return the specificity decision as data and in words; a `rejected` answer names no taxon."""
    return {
        "taxon": None if specificity.taxon is None else taxon_json(specificity.taxon, snapshot),
        "probability": round(specificity.probability, 6),
        "depth": specificity.depth,
        "threshold": round(specificity.threshold, 6),
        "target": specificity.target,
        "calibrated": specificity.calibrated,
        "words": specificity_words(specificity, rejected=rejected),
    }


def specificity_words(specificity: TaxonomicSpecificity, *, rejected: bool = False) -> str:
    """Return the specificity decision as a sentence."""
    if rejected:
        return "No name is given, because this is probably none of the species with reference photos."
    if specificity.taxon is None:
        return "Not even the widest taxon is probable enough to be named."
    aim = (
        f"to be right in {specificity.target:.0%} of answers"
        if specificity.calibrated
        else "by shares, which are not calibrated"
    )
    return f"The narrowest name that is sure enough, {aim}: {specificity.taxon.rank} {specificity.taxon.name}."


def rejection_json(rejection: Rejection) -> dict[str, Any]:
    """Return the rejection decision as data."""
    return {
        "rejected": rejection.rejected,
        "noneOfThese": round(rejection.none, 6),
        "similarity": round(rejection.similarity, 6),
        "reason": rejection.reason,
    }


def list_json(verdict: ListVerdict, snapshot: Snapshot) -> dict[str, Any]:
    """Return the probability that the species is not on the list, as data and in words."""
    return {
        "offList": round(verdict.off_list, 6),
        "noneOfThisList": round(verdict.none_of_list, 6),
        "probable": verdict.probable,
        "mostLike": None if verdict.most_like is None else taxon_json(verdict.most_like, snapshot),
        "words": list_words(verdict),
    }


def list_words(verdict: ListVerdict) -> str:
    """Return the same as a sentence; empty if the species is probably on the list."""
    if not verdict.probable:
        return ""
    if verdict.most_like is None:
        return "Probably none of this list."
    return f"Probably none of this list: most like {verdict.most_like.name}, which is not on it."


def same_words(groups: Sequence[Sequence[int]]) -> str:
    """Return a sentence about photos that show the same."""
    named = [
        f"{', '.join(str(photo + 1) for photo in group[:-1])} and {group[-1] + 1}" for group in groups if len(group) > 1
    ]
    return " ".join(f"Photos {one} show the same and count as one." for one in named)


def unlike_words(pairs: Sequence[Sequence[int]]) -> str:
    """Which photos look like two finds, as sentences."""
    return " ".join(
        f"Photos {one + 1} and {other + 1} look like different fungi: if they are two finds, identify them apart."
        for one, other in pairs
    )


def identification_json(answer: Identification, snapshot: Snapshot) -> dict[str, Any]:
    """Return the whole answer as JSON values."""

    def listed(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
        return [candidate_json(candidate, snapshot) for candidate in candidates]

    rejected = answer.rejection is not None and answer.rejection.rejected
    missing = {} if answer.skipped is None else {"notSearched": skipped_json(answer.skipped, snapshot)}
    return missing | {
        "species": listed(answer.species),
        "genera": listed(answer.genera),
        "families": listed(answer.families),
        "notOnTheList": listed(answer.outside),
        "flora": answer.flora,
        "photos": answer.photos,
        "shareMeaning": CALIBRATED_SHARE if answer.calibrated else SHARE_MEANING,
        "scoreMeaning": CALIBRATED_MEANING if answer.calibrated else SHARE_MEANING,
        "calibrated": answer.calibrated,
        "fusion": answer.fusion,
        "priorsApplied": list(answer.priors),
        "specificity": None
        if answer.specificity is None
        else specificity_json(answer.specificity, snapshot, rejected=rejected),
        "rejection": None if answer.rejection is None else rejection_json(answer.rejection),
        "floraList": None if answer.of_list is None else list_json(answer.of_list, snapshot),
        "effectivePhotos": round(answer.effective_photos, 4),
        "samePhotos": [list(group) for group in answer.same_photos],
        "unlikePhotos": [list(pair) for pair in answer.unlike_photos],
        "photoRankings": [
            [{"taxonID": t.id, "scientificName": t.name, "share": round(share, 6)} for t, share in ranking]
            for ranking in answer.rankings
        ],
        "decidingPhoto": answer.decided_by,
        "photoAspects": list(answer.aspects),
        "aspectsTold": answer.aspects_predicted,
        "snapshot": answer.snapshot,
        "model": answer.model,
        "notice": answer.notice,
    }


def skipped_json(skipped: SkippedReferences, snapshot: Snapshot) -> dict[str, Any]:
    """Return what was not searched: shards, and species by genus."""
    lineages = snapshot.lineages(np.array(skipped.species, dtype=np.int64))
    genera = {genus for genus in lineages[:, RANKS.index("genus")].tolist() if genus >= 0}
    return {
        "parts": list(skipped.parts),
        "species": len(skipped.species),
        "references": skipped.references,
        "genera": sorted(snapshot.taxonomy.taxon(genus).name for genus in genera),
    }


def skipped_words(described: dict[str, Any]) -> str:
    """Return what was not searched as a sentence."""
    return (
        f"Not searched, because a part of the references gives no answer: {described['references']:,} reference photos "
        f"of {described['species']:,} species, of the genera {', '.join(described['genera']) or '(not known)'}."
    )


def identification_text(answer: Identification, snapshot: Snapshot) -> Iterator[str]:
    """Return the answer as lines for a terminal."""
    photos = "1 photo" if answer.photos == 1 else f"{answer.photos} photos"
    yield f"{photos}, flora {answer.flora}, snapshot {answer.snapshot}, model {answer.model}"
    if answer.skipped is not None:
        yield skipped_words(skipped_json(answer.skipped, snapshot))
    yield ""
    if not answer.species:
        yield "No species of this flora has a reference photo."
    for number, candidate in enumerate(answer.species, start=1):
        yield f"{number:3}. {candidate_line(candidate, snapshot)}"
        for evidence in candidate.evidence[:2]:
            yield f"       {evidence_line(evidence)}"
    for title, candidates in (("Genus", answer.genera), ("Family", answer.families)):
        if candidates:
            sums = ", ".join(f"{c.taxon.name} {percent(c.score, 0)}" for c in candidates[:3])
            yield f"{title + ':':8}{sums}"
    if answer.outside:
        yield ""
        yield f"Looks more similar, but is not on the list of {answer.flora}:"
        for candidate in answer.outside:
            yield f"     {candidate_line(candidate, snapshot)}"
    yield ""
    if answer.of_list is not None and answer.of_list.probable:
        yield list_words(answer.of_list)
    if answer.specificity is not None:
        rejected = answer.rejection is not None and answer.rejection.rejected
        yield specificity_words(answer.specificity, rejected=rejected)
    if answer.rejection is not None and answer.rejection.reason:
        yield answer.rejection.reason
    if answer.photos > 1 and answer.species:
        yield f"Photo {answer.decided_by + 1} decided."
    if answer.same_photos:
        yield same_words(answer.same_photos)
    if answer.unlike_photos:
        yield unlike_words(answer.unlike_photos)
    if answer.aspects_predicted:
        yield f"The photos seem to show: {', '.join(answer.aspects)}."
    if answer.priors:
        yield f"Priors applied: {', '.join(answer.priors)}."
    if answer.calibrated:
        yield "Percentages are calibrated probabilities, with that of none of these species taken off."
    else:
        yield "Percentages are shares of the votes of similar photos, not yet calibrated."
    yield answer.notice


def percent(share: float, decimals: int) -> str:
    """Format a share as a percentage; a small one is not rounded to 0, which would mean impossible."""
    least = 10.0 ** -(decimals + 2)
    return f"<{least:.{decimals}%}" if share < least else f"{share:.{decimals}%}"


def candidate_line(candidate: Candidate, snapshot: Snapshot) -> str:
    """Format a candidate on one line."""
    names = [name for _, name in snapshot.taxonomy.vernacular_names(candidate.taxon.id)]
    family = snapshot.taxonomy.ancestor(candidate.taxon.id, "family")
    toxicity = snapshot.taxonomy.toxicity(candidate.taxon.id)
    return "".join(
        (
            f"{percent(candidate.score, 1):>6}  {candidate.taxon.name}",
            f" ({names[0]})" if names else "",
            f", {family.name}" if family else "",
            f"  [{toxicity}]" if toxicity else "",
            expected_words(candidate),
            lookalike_words(candidate),
        )
    )


def expected_words(candidate: Candidate) -> str:
    """Return whether the species is expected at the given place and time; empty if unknown."""
    words = [
        f"{'' if expected else 'not '}expected {where}"
        for where, expected in (
            ("here", candidate.expected_here),
            ("now", candidate.expected_now),
            ("in this habitat", candidate.expected_habitat),
            ("on this substrate", candidate.expected_substrate),
        )
        if expected is not None
    ]
    return f"  ({', '.join(words)})" if words else ""


def lookalike_words(candidate: Candidate) -> str:
    """Return the species often confused with the candidate, marking poisonous ones."""
    named = [f"{o.taxon.name}{f' [{o.toxicity}]' if o.toxicity else ''}" for o in candidate.lookalikes]
    return f"  (often confused with {', '.join(named)})" if named else ""


def evidence_line(evidence: Evidence) -> str:
    """Format a reference photo on one line, with author and licence."""
    reference = evidence.reference
    aspect = f"{reference.aspect}, " if reference.aspect else ""
    author = reference.author or "author not stated"
    licence = reference.licence or "licence not stated"
    return f"photo {evidence.photo + 1} ~ {aspect}similarity {evidence.similarity:.3f}, {author}, {licence}"
