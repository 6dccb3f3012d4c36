"""Makes a region ready to answer: embeds, builds, calibrates and publishes, and says what it can name."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from database.collection.photos import references
from database.session import open_database
from database.taxonomy.floras import flora as find_flora
from database.taxonomy.taxa import taxa
from evaluation.learning.calibrate import calibrate_snapshot
from fungarium.jobs.fetching import GBIF_SERVICE, FetchOptions, fetch_photos
from fungarium.jobs.indexing import build_from_catalogue, embed_catalogue
from fungarium.jobs.publishing import announce, lay_out_published
from fungarium.jobs.regions import AreaChoice, ChecklistChoice, create_region
from fungarium.terminal import ProgressBars
from indexer.building.floras import resolve_flora
from indexer.curation.regions import country_region
from indexer.harvesting.stored import RegionFolder, write_table
from indexer.photos.pacing import Budget, Pace
from retrieval.errors import BuildError
from retrieval.progress import Progress
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import open_snapshot
from settings import Settings

FEW = 5  # observations: with fewer of a species, it is named less reliably
SHOWN = 20  # species without photos that are printed


@dataclass(frozen=True, slots=True)
class Covered:
    """A species of a region with its references."""

    name: str
    observations: int
    photos: int


def make_ready(settings: Settings, name: str) -> None:
    """Embed the photos of the catalogue, build, calibrate and publish, and report what the region can name."""
    folder = RegionFolder(settings.data, name)
    folder.read_plan()
    with folder.locked(), ProgressBars() as bars:
        embed_catalogue(settings, None, None, views="none", retry=False, progress=bars)
        built = build_from_catalogue(settings, None, None, views="none", progress=bars)
        published = publish_snapshot(settings.flora_indexes, calibrate(settings, built, bars), progress=bars)
        announce(published, settings)
        lay_out_published(settings)
        covered = cover_region(settings, name)
        rows = [[one.name, one.observations, one.photos] for one in covered]
        write_table(folder.path / "coverage.csv", ("scientificName", "observations", "photos"), rows)
    print_coverage(folder, covered)


def calibrate(settings: Settings, built: str, progress: Progress) -> str:
    """Return the calibrated snapshot, or the one built where there are too few observations to learn from."""
    snapshot = open_snapshot(settings.flora_indexes, built)
    try:
        return calibrate_snapshot(settings.flora_indexes, snapshot, progress=progress)
    except BuildError as error:
        print(f"not calibrated, so scores are shares: {error}")
        return built
    finally:
        snapshot.close()


def cover_region(settings: Settings, name: str) -> list[Covered]:
    """Count the references of every species of a region, by name."""
    with open_database(settings.database_url) as database, database.reading() as session:
        species = resolve_flora(session, find_flora(session, name))
        photos, seen = Counter[int](), dict[int, set[int]]()
        for photo in references(session):
            photos[photo.species] += 1
            seen.setdefault(photo.species, set()).add(photo.observation_id)
        listed = [taxon for taxon in taxa(session) if taxon.id in species]
    covered = [Covered(taxon.name, len(seen.get(taxon.id, ())), photos[taxon.id]) for taxon in listed]
    return sorted(covered, key=lambda one: one.name)


def print_coverage(folder: RegionFolder, covered: list[Covered]) -> None:
    """Print what a region can name and what it cannot."""
    named = [one for one in covered if one.observations]
    few = [one for one in named if one.observations < FEW]
    missing = [one.name for one in covered if not one.observations]
    print(f"region {folder.name}: can name {len(named)} of {len(covered)} species")
    if few:
        print(f"  {len(few)} of these have fewer than {FEW} observations, and are named less reliably")
    if missing:
        print(f"  cannot name {len(missing)}, which have no openly licensed photos:")
        for name in missing[:SHOWN]:
            print(f"    {name}")
        if len(missing) > SHOWN:
            print(f"    and {len(missing) - SHOWN} more")
    print(f"  every species with its observations and photos in {folder.path / 'coverage.csv'}")
    print("next: fungarium serve")


def start_region(
    settings: Settings,
    name: str,
    area: AreaChoice,
    choice: ChecklistChoice,
    options: FetchOptions,
    *,
    pace: Pace | None = None,
    budget: Budget | None = None,
) -> None:
    """Do everything from an area to a published index; a run that was cut short goes on where it was."""
    if not name:
        if not area.country:
            raise BuildError("give the region a NAME, or a --country whose name it gets")
        name = name_region(country_region(area.country).title)
    spent = budget or Budget()
    if not (RegionFolder(settings.data, name).path / "region.json").exists():
        create_region(settings, name, "", area, choice, pace=pace, budget=spent)
    if fetch_photos(settings, name, GBIF_SERVICE, options, pace=pace, budget=spent):
        make_ready(settings, name)


def name_region(title: str) -> str:
    """Return the id of a region with a title: its letters and digits, without accents, joined by hyphens."""
    plain = unicodedata.normalize("NFKD", title.lower()).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.replace("'", "")))
