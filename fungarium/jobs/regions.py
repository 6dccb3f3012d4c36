"""Creates regions from GBIF: area, checklist, counts and flora."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from database.session import Database, create_tables, open_database
from database.taxonomy import regions as region_tables
from fungarium.terminal import ProgressBars
from indexer.building.floras import define_flora
from indexer.curation.listing import ChecklistReport, import_checklist
from indexer.harvesting.areas import Area, circle_area, country_area, gadm_area, polygon_area, unit_area
from indexer.harvesting.checklist import KEEP, GatheredChecklist, find_groups, gather_checklist
from indexer.harvesting.client import ApiClient
from indexer.harvesting.gbif import Gbif
from indexer.harvesting.stored import RegionFolder, RegionPlan
from indexer.photos.pacing import Budget, Pace, host_of
from retrieval.errors import BuildError
from retrieval.photos.addresses import Guard, parse_networks
from retrieval.progress import Progress
from settings import Settings

HOST_WISHES = "host-wishes.json"
INATURALIST_PAUSE = 1.0  # seconds: iNaturalist asks for at most 60 requests a minute
INATURALIST_DAILY = 10_000  # requests: iNaturalist asks for fewer a day


@dataclass(frozen=True, slots=True)
class AreaChoice:
    """The options that name an area; exactly one of them is given."""

    country: str = ""
    gadm: str = ""
    wgsrpd: str = ""
    polygon: Path | None = None
    point: str = ""
    radius: float = 0.0


@dataclass(frozen=True, slots=True)
class ChecklistChoice:
    """The options that say what counts as present and which names are wanted."""

    records: int = 1
    years: int = 1
    datasets: int = 1
    slime_moulds: bool = True
    lichens: bool = True
    languages: tuple[str, ...] = ("en", "da", "de")
    checklists: tuple[str, ...] = ()


def make_pace(settings: Settings) -> Pace:
    """Return the pace of requests to other servers, which remembers over runs what a host asked for."""
    pause = settings.fetch_pause / 1000
    inaturalist = host_of(settings.inaturalist)
    slower = {inaturalist: max(pause, INATURALIST_PAUSE) if pause else 0.0}
    daily = {inaturalist: INATURALIST_DAILY}
    return Pace(pause, slower, daily=daily, file=settings.data / "regions" / HOST_WISHES)


@contextmanager
def open_gbif(settings: Settings, folder: RegionFolder, pace: Pace, budget: Budget) -> Iterator[Gbif]:
    """Open a client of GBIF that keeps its replies in the region's folder."""
    guard = Guard(parse_networks(settings.fetch_allow))
    with ApiClient(folder.replies, guard=guard, pace=pace, budget=budget) as client:
        yield Gbif(client, settings.gbif.rstrip("/"))


def create_region(
    settings: Settings,
    name: str,
    title: str,
    area: AreaChoice,
    choice: ChecklistChoice,
    *,
    pace: Pace | None = None,
    budget: Budget | None = None,
) -> None:
    """Create a region or renew it: its area, its checklist from GBIF, its counts, and a flora of its name."""
    create_tables(settings.database_url)
    folder = RegionFolder(settings.data, name)
    with (
        folder.locked(),
        open_database(settings.database_url) as database,
        open_gbif(settings, folder, pace or make_pace(settings), budget or Budget()) as gbif,
        ProgressBars() as bars,
    ):
        found = find_area(database, name, title, area)
        groups = find_groups(gbif, ["Fungi", "Myxomycetes"] if choice.slime_moulds else ["Fungi"])
        plan = RegionPlan(
            name=name,
            title=found.region.title,
            area=found.gbif,
            groups=groups,
            created=datetime.now(UTC).date().isoformat(),
            countries=found.region.country_codes if len(found.region.country_codes) == 1 else (),
            geometry=found.region.geometry,
            lichens=choice.lichens,
            languages=choice.languages,
            records=choice.records,
            years=choice.years,
            datasets=choice.datasets,
            checklists=choice.checklists,
        )
        gathered = gather_checklist(gbif, plan, folder, bars)
        if not gathered.counts:
            raise BuildError(f"GBIF has no records of fungi in {plan.title} that reach the thresholds")
        report = file_checklist(database, plan, found, folder, bars)
        folder.write_plan(plan)
        gbif.client.forget(KEEP)
    print_checklist(plan, gathered, report)


def find_area(database: Database, name: str, title: str, area: AreaChoice) -> Area:
    """Return the area of the options. Raises BuildError unless exactly one names it."""
    given = [bool(area.country), bool(area.gadm), bool(area.wgsrpd), area.polygon is not None, bool(area.point)]
    if sum(given) != 1:
        raise BuildError("name one area: --country, --gadm, --wgsrpd, --polygon, or --point with --radius")
    if area.country:
        return country_area(name, title, area.country)
    if area.gadm:
        return gadm_area(name, title, area.gadm)
    if area.polygon is not None:
        return polygon_area(name, title, area.polygon)
    if area.point:
        return circle_area(name, title, area.point, area.radius)
    with database.reading() as session:
        units = list(region_tables.regions(session, region_tables.WGSRPD))
    return unit_area(name, title, units, area.wgsrpd)


def file_checklist(
    database: Database, plan: RegionPlan, area: Area, folder: RegionFolder, progress: Progress
) -> ChecklistReport:
    """Store the region, its checklist, and a flora of it and the checklists that it is united with."""
    with database.writing() as session:
        region_tables.put_region(session, area.region)
    report = import_checklist(
        database, folder.checklist, checklist=plan.name, title=plan.title, region=plan.name, progress=progress
    )
    with database.writing() as session:
        define_flora(session, plan.name, title=plan.title, checklists=[plan.name, *plan.checklists])
    return report


def print_checklist(plan: RegionPlan, gathered: GatheredChecklist, report: ChecklistReport) -> None:
    """Print what the region consists of."""
    with_photos = sum(one.with_photos > 0 for one in gathered.counts)
    print(f"region {plan.name}: {plan.title}, {' and '.join(name for name, _ in plan.groups)}")
    print(f"  {report.present} species present, {with_photos} of them with photos on GBIF")
    print(f"  {sum(one.records for one in gathered.counts):,} records, counted by month in counts.csv")
    print(f"  {gathered.synonyms} synonyms, {gathered.vernacular_names} vernacular names")
    print(f"  {gathered.threatened} species threatened (VU, EN or CR on IUCN's Red List)")
    if gathered.scarce:
        print(f"  left out: {gathered.scarce} species with too few records, years or datasets")
    if gathered.left_out:
        print(f"  left out: {gathered.left_out} that are lichens and not wanted, or unknown to GBIF's backbone")
    print(f"next: fungarium fetch gbif {plan.name}")


def area_of(plan: RegionPlan) -> Area:
    """Return the area of a stored region."""
    entry = region_tables.RegionEntry(
        plan.name, plan.title, region_tables.OWN, plan.countries, json.loads(json.dumps(plan.geometry))
    )
    return Area(entry, plan.area)
