"""The services that routes use: the open snapshot, the model, the photos, limits. Nothing is opened here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path
from secrets import token_bytes
from typing import Final, cast

from flask import current_app

from database.collection.photos import stored_path
from database.errors import DatabaseError, StoreUnavailable
from database.field.photo_files import PhotoFiles
from database.session import Database, open_database
from retrieval.errors import SettingsError
from retrieval.models.embedder import Embedder
from retrieval.models.handles import open_model
from retrieval.photos.addresses import Guard, parse_networks
from retrieval.photos.decoders import Decoders
from retrieval.photos.views import PhotoLimits
from retrieval.snapshots.atlas import Atlas, atlas_path, name_references, read_atlas
from retrieval.snapshots.manifest import STABLE, Manifest
from retrieval.snapshots.snapshot import Snapshot
from settings import Settings, parse_aliases, parse_smtp
from web.catalogue import Catalogue, DatabaseCatalogue
from web.http.cors import parse_origins
from web.http.quotas import Counts
from web.http.secret import SECRET, read_secret
from web.inference.backend import SearchBackend, use_gpus
from web.inference.cluster import make_cluster_search
from web.inference.kept_answers import KeptAnswers
from web.inference.snapshot import Published
from web.mail import Mailer
from web.photos.reference_photos import LocatedPhotos, PhotoSource
from web.photos.thumbnails import Thumbnails

WRITER_PATIENCE: Final = 10.0  # seconds that a request waits for other writers before the client is asked to come back


@dataclass(frozen=True, slots=True)
class Policy:
    """Permissions and quotas of callers without a key."""

    identify_open: bool = True
    daily_quota: int = 500  # of a person
    anonymous_quota: int = 0  # of an address; 0: not limited
    https: bool = False
    proxies: int = 0  # reverse proxies in front whose word for the caller's address is taken


@dataclass(frozen=True, slots=True)
class PhotoRetention:
    """How photos of observations are stored."""

    side: int = 2048  # pixels of the longer side
    originals: bool = False  # keep them at full size too


def no_photo_files() -> PhotoFiles:
    """Raise StoreUnavailable: nothing can be recorded without a photo store."""
    raise StoreUnavailable("this server was started without a place for photos")


def no_database() -> Database:
    """Raise DatabaseError: people and observations need a database."""
    raise DatabaseError("this server was started without a database")


@dataclass(frozen=True, slots=True)
class Throughput:
    """Limits of what one process handles at a time."""

    queue: int = 64  # identifications in hand, at most
    upload_bytes: int = 256_000_000  # of all photos and batches in hand, at most
    batch: int = 32  # views that share a batch of the model, at most
    batch_wait: float = 0.004  # seconds that a batch waits for views of other requests, at most
    deadline: float = 30.0  # seconds until an answer is given up
    cache_bytes: int = 64_000_000  # of answers and embeddings kept
    batches: int = 2  # requests of many observations in hand, at most
    batch_lines: int = 100  # observations in one request, at most
    batch_bytes: int = 200_000_000  # of one such request, at most


@cache
def decoders_of_process() -> Decoders:
    """Return decoders that all applications of a process share."""
    return Decoders()


def no_atlas(_: Manifest) -> Atlas | None:
    """Return None: there is no atlas."""
    return None


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that requests need. Tests create their own."""

    published: Published
    embedder: Callable[[], Embedder]  # opens the model the first time
    photos: PhotoSource
    limits: PhotoLimits
    throughput: Throughput = Throughput()
    catalogue: Catalogue = field(default_factory=Catalogue)
    backend: SearchBackend = field(default_factory=SearchBackend)
    answers: KeptAnswers = field(default_factory=lambda: KeptAnswers(None, 0))  # of people who asked for a link
    exports: Path | None = None  # where archives of observations lie that anybody may fetch
    fresh_exports: dict[Path, object] = field(default_factory=dict)  # state in which each was last found up to date
    flora_indexes: Path | None = None  # where snapshots lie, for those who publish from a page
    atlas: Callable[[Manifest], Atlas | None] = no_atlas  # of a snapshot
    tiles: str = ""  # address of map tiles with {z}, {x} and {y}; empty: outlines of countries only
    tiles_credit: str = ""  # who made the tiles, shown on every map
    metrics_for: str = "loopback"  # who may read the metrics: loopback, everybody, nobody
    database: Callable[[], Database] = no_database  # opens it the first time
    policy: Policy = Policy()
    counts: Counts = field(default_factory=Counts)
    mailer: Mailer | None = None  # None: administrators hand out links for new passwords
    public_url: str = ""  # of this server; empty: as the visitor came
    photo_files: Callable[[], PhotoFiles] = no_photo_files  # of observations
    thumbnails: Thumbnails = field(default_factory=Thumbnails)  # of reference photos
    keeping: PhotoRetention = PhotoRetention()
    secret: Callable[[], bytes] = field(default_factory=lambda: partial(bytes, token_bytes(SECRET)))
    decoders: Decoders = field(default_factory=decoders_of_process)
    guard: Guard = field(default_factory=Guard)  # decides where photos may be fetched from
    cors_origins: tuple[str, ...] = ()  # of web pages that may ask from a browser; `*`: all
    project_aliases: Mapping[str, str] = field(default_factory=dict)  # of Pl@ntNet's projects: name -> flora or `best`
    line_embedders: tuple[Callable[[], Embedder], ...] = ()  # of published lines; each opens its model the first time

    def embedder_named(self, model: str) -> Embedder:
        """Return the model of this name, opening what was not; without one, the configured model."""
        return choose_embedder((self.embedder, *self.line_embedders), model)


def choose_embedder(openers: Sequence[Callable[[], Embedder]], model: str) -> Embedder:
    """Return the first of several models, each opened when its turn comes, that has this name; else the first."""
    return next((embedder for opener in openers if (embedder := opener()).model == model), openers[0]())


def make_services(settings: Settings) -> Services:
    """Create the services from the settings; each opens its files at first use."""
    embedder, *line_embedders = [
        cache(partial(open_model, handle, card, threads=settings.cores)) for handle, card in settings.models
    ]

    @cache
    def database() -> Database:
        return open_database(settings.database_url, patience=WRITER_PATIENCE)

    @cache
    def photo_files() -> PhotoFiles:
        return PhotoFiles(settings.photos_at)

    catalogue, backend = DatabaseCatalogue(database), make_backend(settings)

    def accept(snapshot: Snapshot) -> None:
        snapshot.require_model(choose_embedder((embedder, *line_embedders), snapshot.model).model)
        if snapshot.line == STABLE or backend.cluster is None:  # a cluster is reconnected to one snapshot
            backend.adopt(snapshot)

    return Services(
        published=Published(settings.flora_indexes, accept),
        embedder=embedder,
        photos=LocatedPhotos(
            catalogue.location,
            partial(stored_path, settings.data / "photos"),
            lambda sha256: photo_files().get(sha256),
        ),
        limits=PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels, settings.max_photos),
        throughput=make_throughput(settings),
        catalogue=catalogue,
        backend=backend,
        answers=KeptAnswers(settings.data / "answers", settings.answer_days, settings.answers),
        exports=settings.data / "exports",
        flora_indexes=settings.flora_indexes,
        atlas=read_atlases(settings.flora_indexes),
        tiles=settings.tiles,
        tiles_credit=settings.tiles_credit,
        metrics_for=settings.metrics,
        database=database,
        policy=make_policy(settings),
        counts=Counts(settings.limits, database),
        mailer=make_mailer(settings),
        public_url=settings.public_url,
        photo_files=photo_files,
        thumbnails=Thumbnails(settings.data / "thumbnails", 1_000_000 * settings.thumbnail_megabytes),
        keeping=PhotoRetention(settings.photo_side, settings.originals == "yes"),
        secret=lambda: read_secret(Path(settings.secret_file or settings.data / "secret")),
        decoders=Decoders(settings.cores),
        guard=Guard(parse_networks(settings.fetch_allow)),
        cors_origins=parse_origins(settings.cors_origins),
        project_aliases=parse_aliases(settings.project_aliases),
        line_embedders=tuple(line_embedders),
    )


def make_backend(settings: Settings) -> SearchBackend:
    """Create the search backend of the settings; opens and connects nothing yet."""
    if not settings.cluster:
        return SearchBackend(accelerator=use_gpus(settings.gpu_keeps, settings.gpu_megabytes))
    cluster = make_cluster_search(
        settings.cluster,
        float(settings.shard_timeout),
        root=str(settings.flora_indexes.absolute()),
        shards=settings.shards,
        replicas=settings.replicas,
        gpu_keeps=settings.gpu_keeps,
        gpu_megabytes=settings.gpu_megabytes,
    )
    return SearchBackend(cluster)


def make_policy(settings: Settings) -> Policy:
    """Create the policy of the settings."""
    return Policy(
        identify_open=settings.identify == "open",
        daily_quota=settings.daily_quota,
        anonymous_quota=settings.anonymous_quota,
        https=settings.https == "yes",
        proxies=settings.proxies,
    )


def make_mailer(settings: Settings) -> Mailer | None:
    """Create the mailer of the settings; None without a mail server. Raises SettingsError."""
    if not settings.smtp:
        return None
    if not (settings.mail_sender and settings.public_url):
        raise SettingsError("FUNGARIUM_SMTP needs FUNGARIUM_MAIL_SENDER and FUNGARIUM_PUBLIC_URL, where links lead")
    scheme, host, port, user, password = parse_smtp(settings.smtp)
    return Mailer(scheme, host, port, settings.mail_sender, user, password)


def make_throughput(settings: Settings) -> Throughput:
    """Create the limits of the settings."""
    return Throughput(
        queue=settings.queue,
        batch=settings.batch,
        deadline=float(settings.deadline),
        cache_bytes=1_000_000 * settings.cache_megabytes,
        batch_lines=settings.max_batch,
        batch_bytes=settings.max_batch_bytes,
    )


def read_atlases(root: Path) -> Callable[[Manifest], Atlas | None]:
    """Return a function that reads the atlas of a snapshot, and caches the latest two until they change."""

    @lru_cache(maxsize=2)
    def read(references: str, _modified: float) -> Atlas | None:
        return read_atlas(root, references)

    def find(manifest: Manifest) -> Atlas | None:
        references = name_references(manifest)
        path = atlas_path(root, references)
        return read(references, path.stat().st_mtime) if path.exists() else None

    return find


def services() -> Services:
    """Return the services of the current application."""
    return cast(Services, current_app.extensions["services"])
