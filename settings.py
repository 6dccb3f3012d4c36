"""All settings in one frozen object, read once from the environment.

Each is an environment variable: `FUNGARIUM_` and its name in capitals. A misspelt one is refused. Only entry points
read them; everything else receives the values it needs as arguments.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from retrieval.errors import SettingsError
from retrieval.photos.addresses import parse_networks

PREFIX = "FUNGARIUM_"
OTHER_NAMES = {"gbif_user": "GBIF_USER", "gbif_password": "GBIF_PWD"}
"""Variables of GBIF's own tools, read where ours are not set."""
LAST_PORT = 65_535
SMTP_PORTS = {"smtp": 25, "starttls": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings. Paths are relative to the working directory."""

    data: Path = field(default=Path("data"), metadata={"help": "folder of the photo store, embeddings and reports"})
    flora_indexes: Path = field(default=Path("flora_indexes"), metadata={"help": "folder of the published snapshots"})
    database: str = field(default="", metadata={"help": "SQLAlchemy URL; empty: an SQLite file in the data folder"})
    model: str = field(
        default="default",
        metadata={"help": "model handle, such as default, descriptor, onnx:PATH or hub:PATH_OR_URL"},
    )
    features: str = field(
        default="yes",
        metadata={
            "help": "store the features of reference photos, so that a head can be fitted without decoding them",
            "choices": ("yes", "no"),
        },
    )
    model_card: str = field(
        default="", metadata={"help": "file with the model's preprocessing, if not beside the model"}
    )
    line_models: str = field(
        default="",
        metadata={
            "help": "models of published lines besides `model`, separated by commas: HANDLE, or HANDLE=CARD",
            "example": "lite2, onnx:mynet.onnx=mynet.card.json",
        },
    )
    host: str = field(default="127.0.0.1", metadata={"help": "address the server listens on"})
    port: int = field(default=8000, metadata={"help": "port the server listens on"})
    workers: int = field(default=0, metadata={"help": "worker processes; 0: one per core, at most four", "least": 0})
    cores: int = field(default=0, metadata={"help": "cores that one worker uses; 0: an equal share", "least": 0})
    threads: int = field(default=80, metadata={"help": "concurrent requests of one worker, of any kind"})
    queue: int = field(default=64, metadata={"help": "concurrent identifications of one worker; more get a 503"})
    batch: int = field(default=32, metadata={"help": "maximum photos in a batch of the model"})
    deadline: int = field(default=30, metadata={"help": "time limit of an answer, in seconds"})
    cache_megabytes: int = field(
        default=64, metadata={"help": "memory of one worker for cached answers and embeddings"}
    )
    thumbnail_megabytes: int = field(
        default=500, metadata={"help": "disk for thumbnails of reference photos; 0: no cache", "least": 0}
    )
    gpu_megabytes: int = field(
        default=0, metadata={"help": "memory of each GPU for searching; 0: search on the CPU", "least": 0}
    )
    gpu_keeps: str = field(
        default="floras",
        metadata={
            "help": "what GPUs hold: floras, a copy of each hot flora; lists, all references once",
            "choices": ("floras", "lists"),
        },
    )
    cluster: str = field(
        default="",
        metadata={"help": "address of a Ray cluster, HOST:PORT or ray://HOST:PORT; empty: this machine alone"},
    )
    cluster_storage: str = field(
        default="",
        metadata={"help": "where the cluster stores results of bulk jobs: a shared folder, or s3://BUCKET/PREFIX"},
    )
    shards: int = field(default=3, metadata={"help": "shards of the references on a cluster"})
    replicas: int = field(default=2, metadata={"help": "replicas of each shard on the cluster"})
    shard_timeout: int = field(default=5, metadata={"help": "time limit of a shard's reply, in seconds"})
    metrics: str = field(
        default="loopback",
        metadata={"help": "who may read /metrics", "choices": ("loopback", "everybody", "nobody")},
    )
    log: str = field(default="json", metadata={"help": "format of the log", "choices": ("json", "text")})
    log_level: str = field(
        default="info",
        metadata={
            "help": "log level; info logs a line for each request",
            "choices": ("debug", "info", "warning", "error"),
        },
    )
    max_photos: int = field(default=8, metadata={"help": "maximum photos in one observation"})
    max_batch: int = field(default=100, metadata={"help": "maximum observations in one batch"})
    max_batch_bytes: int = field(default=200_000_000, metadata={"help": "maximum bytes of one batch"})
    max_photo_bytes: int = field(default=20_000_000, metadata={"help": "maximum bytes of one photo"})
    max_photo_pixels: int = field(default=64_000_000, metadata={"help": "maximum pixels of one photo"})
    answer_days: int = field(default=90, metadata={"help": "days that an answer with a share link is stored"})
    answers: int = field(
        default=10_000, metadata={"help": "maximum answers with a share link; the oldest are removed first"}
    )
    tiles: str = field(default="", metadata={"help": "URL of map tiles with {z}, {x}, {y}; empty: outlines only"})
    tiles_credit: str = field(default="", metadata={"help": "attribution of the map tiles, shown on every map"})
    cors_origins: str = field(
        default="", metadata={"help": "origins of other web pages that may use the API, separated by commas, or *"}
    )
    project_aliases: str = field(
        default="weurope, k-middle-europe, the-plant-list, useful",
        metadata={
            "help": "projects that Pl@ntNet's clients ask for by name: NAME=FLORA, or NAME for the best flora",
            "example": "weurope=denmark, useful",
        },
    )
    fetch_allow: str = field(
        default="",
        metadata={
            "help": "private networks from which photos may be fetched",
            "example": "10.1.0.0/16",
        },
    )
    fetch_pause: int = field(
        default=500,
        metadata={"help": "milliseconds between two requests of `region` and `fetch` to one host", "least": 0},
    )
    gbif: str = field(default="https://api.gbif.org/v1", metadata={"help": "URL of GBIF's API"})
    gbif_user: str = field(
        default="", metadata={"help": "user name of an account at gbif.org, for `fetch gbif --by-download`"}
    )
    gbif_password: str = field(default="", repr=False, metadata={"help": "password of the account at gbif.org"})
    inaturalist: str = field(default="https://api.inaturalist.org/v1", metadata={"help": "URL of iNaturalist's API"})

    identify: str = field(
        default="open",
        metadata={
            "help": "who may identify: open, anybody; keyed, with a key or signed in",
            "choices": ("open", "keyed"),
        },
    )
    daily_quota: int = field(default=500, metadata={"help": "daily identifications of a person, UTC"})
    anonymous_quota: int = field(
        default=0,
        metadata={"help": "daily identifications of an IP address without a key; 0: unlimited", "least": 0},
    )
    limits: str = field(default="memory://", metadata={"help": "storage of quotas: memory://, or redis://HOST:PORT/0"})
    secret_file: str = field(default="", metadata={"help": "file with the secret key for sessions"})
    https: str = field(default="no", metadata={"help": "cookies over HTTPS only", "choices": ("no", "yes")})
    proxies: int = field(default=0, metadata={"help": "number of trusted reverse proxies in front", "least": 0})

    observation_photos: str = field(
        default="", metadata={"help": "where photos of observations are stored: a folder, or s3://BUCKET/PREFIX"}
    )
    photo_side: int = field(default=2048, metadata={"help": "longer side of stored photos, in pixels"})
    originals: str = field(
        default="no", metadata={"help": "yes: photos are stored at full size too", "choices": ("no", "yes")}
    )
    reference_licences: str = field(
        default="open",
        metadata={
            "help": "licences under which approved observations become references",
            "choices": ("open", "noncommercial", "none"),
        },
    )
    public_url: str = field(default="", metadata={"help": "public URL of this server"})
    smtp: str = field(
        default="",
        metadata={
            "help": "mail server for forgotten passwords; empty: administrators hand out links",
            "example": "starttls://USER:PASSWORD@HOST:587",
        },
    )
    mail_sender: str = field(
        default="", metadata={"help": "address that mail is sent from", "example": "fungi@example.org"}
    )

    @property
    def photos_at(self) -> str:
        """Where photos of observations are stored, with the default applied."""
        return self.observation_photos or str((self.data / "observations").absolute())

    @property
    def models(self) -> list[tuple[str, Path | None]]:
        """The model handles with their cards: the configured one, then those of published lines."""
        card = Path(self.model_card) if self.model_card else None
        return [(self.model, card), *parse_line_models(self.line_models)]

    @property
    def database_url(self) -> str:
        """The database's URL, with the default applied."""
        return self.database or f"sqlite:///{self.data / 'fungarium.sqlite'}"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from environment variables; raise SettingsError for unknown names and invalid values."""
    given = os.environ if environment is None else environment
    known = {PREFIX + setting.name.upper(): setting for setting in fields(Settings)}
    values: dict[str, object] = {name: given[other] for name, other in OTHER_NAMES.items() if other in given}
    for name, text in sorted(given.items()):
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            raise SettingsError(f"there is no setting {name}; there are: {', '.join(sorted(known))}")
        values[known[name].name] = parse_setting(name, text, known[name].type, known[name].metadata)
    return Settings(**values)  # type: ignore[arg-type] # each value was parsed to its field's type


def parse_setting(name: str, text: str, kind: object, metadata: Mapping[str, Any]) -> object:
    """Convert a setting to its type; `choices` and `least` of its metadata limit it."""
    if text not in (choices := metadata.get("choices", (text,))):
        raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {text!r}")
    if kind == "int":
        least: int = metadata.get("least", 1)
        if not text.strip().isdecimal() or int(text) < least:
            raise SettingsError(f"{name} must be a whole number above {least - 1}, not {text!r}")
        if name == f"{PREFIX}PORT" and int(text) > LAST_PORT:
            raise SettingsError(f"{name} must be at most {LAST_PORT}, not {text}")
        return int(text)
    if name == f"{PREFIX}FETCH_ALLOW":
        parse_networks(text)
    if name == f"{PREFIX}PROJECT_ALIASES":
        parse_aliases(text)
    if name == f"{PREFIX}SMTP" and text:
        parse_smtp(text)
    if name == f"{PREFIX}MAIL_SENDER" and text and not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", text):
        raise SettingsError(f"{name} must be a mail address, such as fungi@example.org")
    if name == f"{PREFIX}LINE_MODELS":
        parse_line_models(text)
    if kind == "Path":
        if not text:
            raise SettingsError(f"{name} must name a folder")
        return Path(text)
    return text


def parse_aliases(text: str) -> dict[str, str]:
    """Return the flora of each project of a list such as `weurope=denmark, useful`: `best` where none is named.

    Raises SettingsError for a part without a name.
    """
    aliases = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, flora = (half.strip() for half in part.partition("="))
        if not name:
            raise SettingsError(f"{PREFIX}PROJECT_ALIASES: {part!r} has no name; write NAME or NAME=FLORA")
        aliases[name] = flora or "best"
    return aliases


def parse_smtp(text: str) -> tuple[str, str, int, str, str]:
    """Return scheme, host, port, user and password of a mail server.

    The scheme is `smtp`, without encryption, `starttls` or `smtps`. Raises SettingsError, which does not repeat the
    text: it may contain a password.
    """
    parts = urlsplit(text)
    try:
        port = parts.port or SMTP_PORTS[parts.scheme]
    except (KeyError, ValueError):
        port = 0
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not port or not parts.hostname or parts.path.strip("/") or parts.query:
        raise SettingsError(f"{PREFIX}SMTP must be like smtp://HOST:25, starttls://USER:PASSWORD@HOST or smtps://HOST")
    if parts.scheme == "smtp" and user:
        raise SettingsError(f"{PREFIX}SMTP would send its password in the clear; use starttls:// or smtps://")
    return parts.scheme, parts.hostname, port, user, password


def parse_line_models(text: str) -> list[tuple[str, Path | None]]:
    """Return handle and card of each model of a list such as `lite2, onnx:mynet.onnx=mynet.card.json`.

    The card follows the last `=`. Raises SettingsError for a part without a handle.
    """
    models: list[tuple[str, Path | None]] = []
    for part in filter(None, map(str.strip, text.split(","))):
        before, separator, after = (half.strip() for half in part.rpartition("="))
        handle = before if separator else after
        if not handle:
            raise SettingsError(f"{PREFIX}LINE_MODELS: {part!r} has no handle; write HANDLE or HANDLE=CARD")
        models.append((handle, Path(after) if separator and after else None))
    return models
