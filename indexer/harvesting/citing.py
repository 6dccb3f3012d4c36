"""How to cite what was fetched: the datasets that the chosen records come from, and GBIF's derived dataset."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from database.field.photo_files import write_whole
from indexer.archives.coco import text_of
from indexer.harvesting.downloads import DownloadState
from indexer.harvesting.gbif import Gbif, member
from indexer.harvesting.rounds import Rounds
from indexer.harvesting.stored import RegionPlan, write_table

KEEP = "datasets"
REGISTER = "https://www.gbif.org/derived-dataset/register"


def count_datasets(rounds: Rounds) -> Counter[str]:
    """Count the chosen records of each of GBIF's datasets."""
    return Counter(text_of(record.get("datasetKey")) for choice in rounds.choices() for record in choice.results)


def write_citation(
    gbif: Gbif, plan: RegionPlan, rounds: Rounds, day: str, download: DownloadState | None = None
) -> str:
    """Write `citation.txt` and `derived-dataset.csv`, the table GBIF asks for to give a DOI; returns the citation.

    A `download` has a DOI of its own, which is cited.
    """
    counted = sorted(count_datasets(rounds).items(), key=lambda item: (-item[1], item[0]))
    write_table(rounds.path / "derived-dataset.csv", ("datasetKey", "count"), counted)
    source = f"GBIF.org occurrence search, accessed {day}"
    if download is not None and download.doi:
        source = f"GBIF.org ({download.created}) GBIF Occurrence Download https://doi.org/{download.doi}"
    citation = f"{source}: fungi of {plan.title}, {sum(n for _, n in counted)} records"
    lines = [f"{citation}.", "", "Datasets, with the number of their records:", ""]
    for key, count in counted:
        found = gbif.client.get(f"{gbif.base}/dataset/{key}", keep=KEEP)
        dataset = found if isinstance(found, dict) else {}
        cited = text_of(member(dataset, "citation").get("text")) or text_of(dataset.get("title")) or key
        lines.append(f"{count}\t{cited}")
    lines += [
        "",
        f"For a DOI of exactly these records, register a derived dataset at {REGISTER}",
        "with derived-dataset.csv, and cite that.",
        "Every photo keeps its own author and licence, which are shown with it.",
        "",
    ]
    write_text(rounds.path / "citation.txt", lines)
    return citation


def write_inaturalist_citation(plan: RegionPlan, rounds: Rounds, day: str) -> str:
    """Write `citation.txt` for observations of iNaturalist; returns the citation."""
    records = sum(len(choice.results) for choice in rounds.choices())
    citation = f"iNaturalist community, observations of fungi of {plan.title}, accessed {day}: {records} observations"
    credit = "Available from https://www.inaturalist.org. Every photo keeps its own author and licence."
    write_text(rounds.path / "citation.txt", [f"{citation}.", "", credit, ""])
    return citation


def write_text(path: Path, lines: list[str]) -> None:
    """Write lines of text, whole or not at all."""
    write_whole(path, "\n".join(lines).encode())
