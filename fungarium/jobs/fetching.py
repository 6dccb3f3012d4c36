"""Fetches the photos of a region: chooses finds, asks for consent, fetches politely, and imports what came."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache

import click

from database.collection.datasets import cite_dataset
from database.collection.imports import run_dropped_values, run_rejections
from database.collection.observations import drop_unmentioned
from database.session import Database, create_tables, open_database
from database.taxonomy.taxa import known_names
from fungarium.jobs.importing import print_report
from fungarium.jobs.indexing import renew_published
from fungarium.jobs.regions import area_of, make_pace, open_gbif
from fungarium.terminal import ProgressBars
from indexer.archives.api_json import GBIF, INAT
from indexer.curation.curate import CurationPolicy
from indexer.curation.inspection import PhotoDesk
from indexer.harvesting import citing, inaturalist
from indexer.harvesting.choosing_photos import PhotoService, choose_photos
from indexer.harvesting.downloaded_records import DownloadedPhotos, DownloadedRecords
from indexer.harvesting.downloads import Downloads, read_state
from indexer.harvesting.estimating import Estimate, estimate_fetch
from indexer.harvesting.finds import FindRules
from indexer.harvesting.gbif import Gbif
from indexer.harvesting.gbif_photos import GbifPhotos
from indexer.harvesting.inaturalist import Inaturalist
from indexer.harvesting.rounds import ChoiceOptions, Rounds
from indexer.harvesting.stored import RegionFolder, RegionPlan
from indexer.importing import ImportReport, import_archive, write_rejections
from indexer.photos.finding import Fetcher, PhotoStore
from indexer.photos.pacing import Budget, Pace
from indexer.photos.refusals import Refusals
from indexer.records import ArchiveSource
from retrieval.errors import ArchiveError, BudgetSpent, BuildError
from retrieval.photos.addresses import Guard, parse_networks
from retrieval.progress import Progress
from retrieval.snapshots.manifest import current_or_none
from settings import Settings

GBIF_SERVICE = "gbif"
KINDS = {GBIF_SERVICE: GBIF, "inaturalist": INAT}
TITLES = {GBIF_SERVICE: "GBIF", "inaturalist": "iNaturalist"}
BATCH = 32  # photos to a transaction: what a killed run has fetched is in the store, filed or not


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """The options of fetching."""

    choice: ChoiceOptions
    dry_run: bool = False
    is_agreed: bool = False  # the estimate need not be shown and agreed to
    update: bool = False
    retry: bool = False
    by_download: bool = False  # from GBIF's download service


@dataclass(frozen=True, slots=True)
class FetchRun:
    """What stays the same during a run of fetching."""

    settings: Settings
    folder: RegionFolder
    plan: RegionPlan
    rounds: Rounds
    options: FetchOptions
    number: int
    pace: Pace
    budget: Budget
    today: date

    @property
    def dataset(self) -> str:
        """The dataset of the fetched photos."""
        return f"{self.folder.name}-{self.rounds.path.name}"


def fetch_photos(
    settings: Settings,
    name: str,
    service: str,
    options: FetchOptions,
    *,
    place: str = "",
    pace: Pace | None = None,
    budget: Budget | None = None,
    agree: Callable[[str], bool] | None = None,
) -> bool:
    """Fetch photos of a region from `gbif` or `inaturalist`; returns whether photos were imported.

    `place` is iNaturalist's id of the area, where it is not found by name. `agree` is asked with the estimate, by
    default a person at the terminal.
    """
    folder = RegionFolder(settings.data, name)
    plan = folder.read_plan()
    if options.by_download and not (settings.gbif_user and settings.gbif_password):
        raise BuildError(
            "--by-download needs an account at gbif.org: set FUNGARIUM_GBIF_USER and FUNGARIUM_GBIF_PASSWORD"
        )
    create_tables(settings.database_url)
    spent = budget or Budget()
    with folder.locked(), open_database(settings.database_url) as database:
        rounds = Rounds(folder.path / service)
        if options.dry_run:
            print_estimate(estimate_fetch(
                folder.read_counts(), rounds, options.choice, pause=settings.fetch_pause / 1000, number=-1,
                by_download=options.by_download,
            ))  # fmt: skip
            return False
        run = FetchRun(
            settings, folder, plan, rounds, options,
            rounds.begin(options.choice, renew=options.update), pace or make_pace(settings), spent,
            datetime.now(UTC).date(),
        )  # fmt: skip
        if not is_agreed(run, agree or ask_person):
            print("nothing was fetched")
            return False
        with (
            open_gbif(settings, folder, run.pace, spent) as gbif,
            ProgressBars() as bars,
            open_service(database, run, gbif, place) as found,
        ):
            choose_photos(
                found, folder.read_counts(), rounds, options=options.choice, number=run.number,
                rules=make_rules(run), others=other_rounds(run), progress=bars,
            )  # fmt: skip
            citation = cite(run, gbif)
            import_chosen(database, run, citation, bars)
            for group in (citing.KEEP, inaturalist.KEEP):
                gbif.client.forget(group)
            if options.update and current_or_none(settings.flora_indexes) is not None:
                renew_published(settings, database, run.dataset, bars)
    return True


@contextmanager
def open_service(database: Database, run: FetchRun, gbif: Gbif, place: str) -> Iterator[PhotoService]:
    """Open the service to choose from; an archive that it fetched is removed when everything has been chosen."""
    if run.rounds.path.name != GBIF_SERVICE:
        yield open_inaturalist(database, run, gbif, place)
        return
    if not run.options.by_download:
        yield GbifPhotos(gbif, run.plan)
        return
    account = run.settings.gbif_user, run.settings.gbif_password
    downloads = Downloads(gbif, run.rounds.path, account, print)
    with ExitStack() as opened:

        @cache
        def open_records() -> DownloadedRecords:
            try:
                return opened.enter_context(DownloadedRecords(downloads.obtain(run.plan, run.number)))
            except ArchiveError:
                downloads.remove()  # a damaged one is fetched anew by the next run
                raise

        yield DownloadedPhotos(gbif, run.plan, open_records)
    downloads.remove()


def open_inaturalist(database: Database, run: FetchRun, gbif: Gbif, place: str) -> Inaturalist:
    """Find the area and the species on iNaturalist."""
    base, licences = run.settings.inaturalist.rstrip("/"), run.options.choice.licences
    where = inaturalist.find_place(gbif.client, base, area_of(run.plan), place)
    with database.reading() as session:
        by_name, _ = known_names(session)
    keys = {one.name: one.key for one in run.folder.read_counts()}
    names = {name: keys[accepted] for name, (accepted, _) in by_name.items() if accepted in keys}
    groups = [group for group, _ in run.plan.groups]
    taxa = inaturalist.find_taxa(gbif.client, base, where, groups, licences, names)
    return Inaturalist(gbif.client, base, where, licences, taxa)


def other_rounds(run: FetchRun) -> Rounds | None:
    """Return what was chosen from GBIF, before iNaturalist is asked for what is missing."""
    return Rounds(run.folder.path / GBIF_SERVICE) if run.rounds.path.name != GBIF_SERVICE else None


def cite(run: FetchRun, gbif: Gbif) -> str:
    """Write how to cite what was chosen; returns a line of it."""
    day = run.today.isoformat()
    if run.rounds.path.name == GBIF_SERVICE:
        state = read_state(run.rounds.path)
        download = state if state is not None and state.round == run.number else None
        return citing.write_citation(gbif, run.plan, run.rounds, day, download)
    return citing.write_inaturalist_citation(run.plan, run.rounds, day)


def make_rules(run: FetchRun) -> FindRules:
    """Return the rules of the choice, which are those of the import."""
    options = run.options.choice
    return FindRules(
        area_of(run.plan), CurationPolicy(today=run.today, licences=options.licences), options.photos_per_find
    )


def is_agreed(run: FetchRun, agree: Callable[[str], bool]) -> bool:
    """Show what is going to be fetched, and ask a person; nobody is asked where there is no terminal."""
    found = estimate_fetch(
        run.folder.read_counts(),
        run.rounds,
        run.options.choice,
        pause=run.pace.pause,
        number=run.number,
        by_download=run.options.by_download,
    )
    print_estimate(found)
    return run.options.is_agreed or agree("Fetch them?")


def ask_person(question: str) -> bool:
    """Ask at the terminal; without one, such as in cron, the command itself is the consent."""
    return click.confirm(question, default=True) if sys.stdin.isatty() else True


def print_estimate(found: Estimate) -> None:
    """Print what fetching is going to cost."""
    about = "" if found.chosen else "at most "
    print(f"{found.species:,} species with photos: {about}{found.finds:,} finds, about {found.photos:,} photos")
    print(f"  {found.requests:,} requests, {found.byte_count / 1e9:,.1f} GB, {found.hours:,.1f} hours")


def import_chosen(database: Database, run: FetchRun, citation: str, bars: Progress) -> None:
    """Fetch and import the chosen photos, remove those that are chosen no more, and report."""
    photos = sum(len(r.get("media") or r.get("photos") or ()) for c in run.rounds.choices() for r in c.results)

    def progress(stage: str, done: int = 0, total: int = 0) -> None:
        bars(stage, done, total or photos)

    title = f"{run.plan.title}: photos from {TITLES[run.rounds.path.name]}"
    if next(run.rounds.choices(), None) is None:
        with database.writing() as session:
            drop_unmentioned(session, run.dataset, -1)
        run.rounds.finish(run.options.choice, run.number, run.today.isoformat())
        print(f"{TITLES[run.rounds.path.name]} has no photos of these species there")
        return
    refusals = Refusals(run.rounds.refused)
    if run.options.retry:
        refusals.forget()
    guard = Guard(parse_networks(run.settings.fetch_allow))
    source = ArchiveSource(KINDS[run.rounds.path.name], run.rounds.chosen)
    policy = CurationPolicy(today=run.today, licences=run.options.choice.licences)
    with (
        PhotoStore(run.settings.data / "photos") as store,
        Fetcher(store, guard=guard, pace=run.pace, budget=run.budget, refusals=refusals) as fetcher,
    ):
        try:
            report = import_archive(
                database, PhotoDesk(source, store, fetcher), policy,
                dataset=run.dataset, title=title, progress=progress, batch_size=BATCH,
            )  # fmt: skip
        except BudgetSpent:
            print_use(run.budget)
            raise
    with database.writing() as session:
        gone = drop_unmentioned(session, run.dataset, report.run)
        cite_dataset(session, run.dataset, citation)
    run.rounds.finish(run.options.choice, run.number, run.today.isoformat())
    print_import(database, run, report)
    if gone:
        print(f"  removed {gone}: no longer chosen, gone, or under another licence")
    print_use(run.budget)
    print(f"cite as said in {run.rounds.path / 'citation.txt'}")


def print_import(database: Database, run: FetchRun, report: ImportReport) -> None:
    """Print what became of the chosen photos, and what was left out of the choice, by reason."""
    table = run.settings.data / "reports" / f"{run.dataset}-rejections.csv"
    with database.reading() as session:
        dropped = run_dropped_values(session, report.run)
        write_rejections(run_rejections(session, report.run), table, dropped=dropped)
    print_report(report, table)
    left_out = Counter[str]()
    for choice in run.rounds.choices():
        left_out.update(choice.left_out)
    if left_out:
        print("not chosen")
        print_counts(left_out.most_common())


def print_counts(counted: Iterable[tuple[str, int]]) -> None:
    """Print a line for each reason with its count."""
    for reason, count in counted:
        print(f"    {reason} {count}")


def print_use(budget: Budget) -> None:
    """Print what a run asked for and received."""
    print(f"{budget.requests:,} requests, {budget.byte_count:,} bytes received")
