"""An answer as JSON values and as text for a terminal. Field names are the Darwin Core terms where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from retrieval.domain import Candidate, Evidence, Identification, Reference, Taxon
from retrieval.snapshot import Snapshot

SHARE_MEANING = (
    "The share of the votes that similar reference photos gave this taxon, from 0 to 1. "
    "Not yet calibrated: a share of 0.8 does not mean right in 8 of 10 cases."
)


def taxon_json(taxon: Taxon, snapshot: Snapshot) -> dict[str, Any]:
    """A taxon with its genus and family, names in Darwin Core's terms; absent where unknown."""
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
    """A reference photo, always with its author and licence."""
    return {
        "photo": reference.photo,
        "observation": reference.observation,
        "author": reference.author,
        "licence": reference.licence,
        "source": reference.source,
        "aspect": reference.aspect,
    }


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """A reference photo with its similarity and the query photo (counted from 0) that it resembles."""
    return {
        **reference_json(evidence.reference),
        "similarity": round(evidence.similarity, 6),
        "queryPhoto": evidence.photo,
    }


def candidate_json(candidate: Candidate, snapshot: Snapshot) -> dict[str, Any]:
    """A candidate: its taxon, its share, what each photo alone would say, and the evidence."""
    return {
        "taxon": taxon_json(candidate.taxon, snapshot),
        "share": round(candidate.share, 6),
        "sharePerPhoto": [round(share, 6) for share in candidate.per_photo],
        "evidence": [evidence_json(evidence) for evidence in candidate.evidence],
    }


def identification_json(answer: Identification, snapshot: Snapshot) -> dict[str, Any]:
    """The whole answer as JSON values."""

    def listed(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
        return [candidate_json(candidate, snapshot) for candidate in candidates]

    return {
        "species": listed(answer.species),
        "genera": listed(answer.genera),
        "families": listed(answer.families),
        "notOnTheList": listed(answer.outside),
        "flora": answer.flora,
        "photos": answer.photos,
        "shareMeaning": SHARE_MEANING,
        "snapshot": answer.snapshot,
        "model": answer.model,
        "notice": answer.notice,
    }


def identification_text(answer: Identification, snapshot: Snapshot) -> Iterator[str]:
    """The answer as lines for a terminal."""
    photos = "1 photo" if answer.photos == 1 else f"{answer.photos} photos"
    yield f"{photos}, flora {answer.flora}, snapshot {answer.snapshot}, model {answer.model}"
    yield ""
    if not answer.species:
        yield "No species of this flora has a reference photo."
    for number, candidate in enumerate(answer.species, start=1):
        yield f"{number:3}. {candidate_line(candidate, snapshot)}"
        for evidence in candidate.evidence[:2]:
            yield f"       {evidence_line(evidence)}"
    for title, candidates in (("Genus", answer.genera), ("Family", answer.families)):
        if candidates:
            sums = ", ".join(f"{c.taxon.name} {c.share:.0%}" for c in candidates[:3])
            yield f"{title + ':':8}{sums}"
    if answer.outside:
        yield ""
        yield f"Looks more similar, but is not on the list of {answer.flora}:"
        for candidate in answer.outside:
            yield f"     {candidate_line(candidate, snapshot)}"
    yield ""
    yield "Percentages are shares of the votes of similar photos, not yet calibrated."
    yield answer.notice


def candidate_line(candidate: Candidate, snapshot: Snapshot) -> str:
    """A candidate on one line."""
    names = [name for _, name in snapshot.taxonomy.vernacular_names(candidate.taxon.id)]
    family = snapshot.taxonomy.ancestor(candidate.taxon.id, "family")
    toxicity = snapshot.taxonomy.toxicity(candidate.taxon.id)
    return "".join(
        (
            f"{candidate.share:6.1%}  {candidate.taxon.name}",
            f" ({names[0]})" if names else "",
            f", {family.name}" if family else "",
            f"  [{toxicity}]" if toxicity else "",
        )
    )


def evidence_line(evidence: Evidence) -> str:
    """A reference photo on one line, with author and licence."""
    reference = evidence.reference
    aspect = f"{reference.aspect}, " if reference.aspect else ""
    author = reference.author or "author not stated"
    licence = reference.licence or "licence not stated"
    return f"photo {evidence.photo + 1} ~ {aspect}similarity {evidence.similarity:.3f}, {author}, {licence}"
