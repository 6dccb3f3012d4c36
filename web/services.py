"""What the routes are given: the open snapshot, the model, the reference photos, the limits. Nothing is opened here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache, lru_cache, partial
from pathlib import Path
from secrets import token_bytes
from typing import cast

from flask import current_app

from database.collection.datasets import DatasetCredit, dataset_credits
from database.collection.photos import event_dates, photo_shapes, reference, stored_path
from database.errors import DatabaseError, StoreUnavailable
from database.field.photo_files import PhotoFiles
from database.session import Database, open_database
from database.taxonomy.areas import flora_countries
from database.taxonomy.flora_places import FloraPlace, flora_places
from retrieval.devices.accelerator import Accelerator
from retrieval.devices.faiss_gpu import open_accelerator
from retrieval.models.embedder import Embedder
from retrieval.models.handles import open_model
from retrieval.photos.addresses import Guard, parse_networks
from retrieval.photos.views import PhotoLimits
from retrieval.snapshots.atlas import Atlas, atlas_path, name_references, read_atlas
from retrieval.snapshots.manifest import Manifest
from retrieval.snapshots.snapshot import Snapshot
from settings import Settings
from web.contracts.dependencies import Contracts
from web.http.cors import parse_origins
from web.http.quotas import Counts
from web.http.secret import SECRET, read_secret
from web.inference.cluster import ClusterSearch, make_cluster_search
from web.inference.kept_answers import KeptAnswers
from web.inference.snapshot import Published
from web.photos.reference_photos import LocatedPhotos, PhotoSource
from web.photos.thumbnails import Thumbnails


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what without being asked for a key, and how often."""

    identify_open: bool = True
    daily_quota: int = 500  # of a person
    anonymous_quota: int = 0  # of an address; 0: not limited
    https: bool = False
    proxies: int = 0  # reverse proxies in front whose word for the caller's address is taken


@dataclass(frozen=True, slots=True)
class PhotoRetention:
    """How photos of observations are kept."""

    side: int = 2048  # pixels of the longer side
    originals: bool = False  # keep them at full size too


def no_photo_files() -> PhotoFiles:
    """Where there are none: nothing can be recorded."""
    raise StoreUnavailable("this server was started without a place for photos")


def no_database() -> Database:
    """Where there is none: nothing that needs people or observations can be had."""
    raise DatabaseError("this server was started without a database")


@dataclass(frozen=True, slots=True)
class Throughput:
    """Bounds of what one process does at a time."""

    queue: int = 64  # identifications in hand, at most
    batch: int = 32  # views that share a batch of the model, at most
    batch_wait: float = 0.004  # seconds that a batch waits for views of other requests, at most
    deadline: float = 30.0  # seconds until an answer is given up
    cache_bytes: int = 64_000_000  # of answers and embeddings kept
    batches: int = 2  # requests of many observations in hand, at most
    batch_lines: int = 100  # observations in one request, at most
    batch_bytes: int = 200_000_000  # of one such request, at most


def no_dates(_: Sequence[str]) -> Mapping[str, date]:
    """Where nothing is known of when photos were taken."""
    return {}


def no_shapes(_: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """Where nobody knows how large a photo is."""
    return {}


def no_atlas(_: Manifest) -> Atlas | None:
    """Where none has been made."""
    return None


def no_credits(_: Sequence[str]) -> Mapping[str, DatasetCredit]:
    """Where nobody knows how a dataset is cited."""
    return {}


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request needs. A test gives its own."""

    published: Published
    embedder: Callable[[], Embedder]  # opens the model the first time
    photos: PhotoSource
    limits: PhotoLimits
    throughput: Throughput = Throughput()
    event_dates: Callable[[Sequence[str]], Mapping[str, date]] = no_dates  # of reference photos; DatabaseError
    credits: Callable[[Sequence[str]], Mapping[str, DatasetCredit]] = no_credits  # of datasets, by their ids
    shapes: Callable[[Sequence[str]], Mapping[str, tuple[int, int]]] = no_shapes  # width and height, by their sha256
    flora_countries: Callable[[], Mapping[str, tuple[str, ...]]] = dict  # alpha-2 codes of each flora
    answers: KeptAnswers = field(default_factory=lambda: KeptAnswers(None, 0))  # of people who asked for a link
    exports: Path | None = None  # where archives of observations lie that anybody may fetch
    flora_indexes: Path | None = None  # where snapshots lie, for those who publish from a page
    atlas: Callable[[Manifest], Atlas | None] = no_atlas  # of a snapshot
    tiles: str = ""  # address of map tiles with {z}, {x} and {y}; empty: outlines of countries only
    tiles_credit: str = ""  # who made the tiles, shown on every map
    metrics_for: str = "loopback"  # who may read the metrics: loopback, everybody, nobody
    searched_on: Callable[[], str] = lambda: "cpu"  # what floras are searched on, and why if not on a GPU
    cluster_search: ClusterSearch | None = None  # where they are searched on a cluster
    database: Callable[[], Database] = no_database  # opens it the first time
    policy: Policy = Policy()
    counts: Counts = field(default_factory=Counts)
    photo_files: Callable[[], PhotoFiles] = no_photo_files  # of observations
    thumbnails: Thumbnails = field(default_factory=Thumbnails)  # of reference photos
    keeping: PhotoRetention = PhotoRetention()
    secret: Callable[[], bytes] = field(default_factory=lambda: partial(bytes, token_bytes(SECRET)))
    contracts: Contracts = field(default_factory=Contracts)


def make_services(settings: Settings) -> Services:
    """Put the services together; each opens its files when it is first asked."""

    @cache
    def embedder() -> Embedder:
        card = Path(settings.model_card) if settings.model_card else None
        return open_model(settings.model, card, threads=settings.cores)

    @cache
    def database() -> Database:
        return open_database(settings.database_url)

    @cache
    def photo_files() -> PhotoFiles:
        return PhotoFiles(settings.photos_at)

    def locate(sha256: str) -> str:
        with database().reading() as session:
            return reference(session, sha256).location

    def dates_of(photos: Sequence[str]) -> Mapping[str, date]:
        with database().reading() as session:
            return event_dates(session, photos)

    def credits_of(datasets: Sequence[str]) -> Mapping[str, DatasetCredit]:
        with database().reading() as session:
            return dataset_credits(session, datasets)

    def shapes_of(photos: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        with database().reading() as session:
            return photo_shapes(session, photos)

    def countries() -> Mapping[str, tuple[str, ...]]:
        with database().reading() as session:
            return flora_countries(session)

    @lru_cache(maxsize=2)
    def atlas_made(references: str, _made: float) -> Atlas | None:
        return read_atlas(settings.flora_indexes, references)

    def atlas_of(manifest: Manifest) -> Atlas | None:
        references = name_references(manifest)
        path = atlas_path(settings.flora_indexes, references)
        return atlas_made(references, path.stat().st_mtime) if path.exists() else None

    def stored(sha256: str) -> Path:
        return stored_path(settings.data / "photos", sha256)

    cluster_search = None
    if settings.cluster:
        cluster_search = make_cluster_search(
            settings.cluster,
            float(settings.shard_timeout),
            root=str(settings.flora_indexes.absolute()),
            shards=settings.shards,
            replicas=settings.replicas,
            gpu_keeps=settings.gpu_keeps,
            gpu_megabytes=settings.gpu_megabytes,
        )

    @cache
    def accelerator() -> Accelerator | None:
        return open_accelerator(settings.gpu_keeps, 1_000_000 * settings.gpu_megabytes)

    def accept(snapshot: Snapshot) -> None:
        snapshot.require_model(embedder().model)
        if cluster_search is not None:
            cluster_search.adopt(snapshot)
        else:
            snapshot.shelf.accelerator = accelerator()

    def searched_on() -> str:
        if cluster_search is not None:
            return cluster_search.described
        chosen = accelerator()
        return "cpu" if chosen is None else chosen.standing

    def places() -> list[FloraPlace]:
        with database().reading() as session:
            return flora_places(session)

    return Services(
        published=Published(settings.flora_indexes, accept),
        searched_on=searched_on,
        cluster_search=cluster_search,
        embedder=embedder,
        photos=LocatedPhotos(locate, stored, lambda sha256: photo_files().get(sha256)),
        limits=PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels, settings.max_photos),
        database=database,
        policy=Policy(
            identify_open=settings.identify == "open",
            daily_quota=settings.daily_quota,
            anonymous_quota=settings.anonymous_quota,
            https=settings.https == "yes",
            proxies=settings.proxies,
        ),
        counts=Counts(settings.limits, database),
        photo_files=photo_files,
        thumbnails=Thumbnails(settings.data / "thumbnails", 1_000_000 * settings.thumbnail_megabytes),
        keeping=PhotoRetention(settings.photo_side, settings.originals == "yes"),
        secret=lambda: read_secret(Path(settings.secret_file or settings.data / "secret")),
        throughput=Throughput(
            queue=settings.queue,
            batch=settings.batch,
            deadline=float(settings.deadline),
            cache_bytes=1_000_000 * settings.cache_megabytes,
            batch_lines=settings.max_batch,
            batch_bytes=settings.max_batch_bytes,
        ),
        event_dates=dates_of,
        shapes=shapes_of,
        flora_countries=countries,
        answers=KeptAnswers(settings.data / "answers", settings.answer_days),
        exports=settings.data / "exports",
        flora_indexes=settings.flora_indexes,
        atlas=atlas_of,
        tiles=settings.tiles,
        tiles_credit=settings.tiles_credit,
        credits=credits_of,
        metrics_for=settings.metrics,
        contracts=Contracts(places, Guard(parse_networks(settings.fetch_allow)), parse_origins(settings.cors_origins)),
    )


def services() -> Services:
    """The services of the application that answers the request."""
    return cast(Services, current_app.extensions["services"])
