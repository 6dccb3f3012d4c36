"""All settings in one frozen object, read once at the edge from the environment.

Each is an environment variable `FUNGARIUM_` + its name in capitals; a misspelt one is refused.
Read by the entry points only; everything else is given the values it needs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from retrieval.errors import SettingsError
from retrieval.photos.addresses import parse_networks

PREFIX = "FUNGARIUM_"
LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set. Paths are relative to the working folder."""

    data: Path = field(default=Path("data"), metadata={"help": "folder of the photo store, embeddings and reports"})
    flora_indexes: Path = field(default=Path("flora_indexes"), metadata={"help": "folder of the published snapshots"})
    database: str = field(default="", metadata={"help": "SQLAlchemy address; empty: an SQLite file in the data folder"})
    model: str = field(
        default="default", metadata={"help": "model handle, such as default, descriptor, onnx:PATH or hub:PATH_OR_URL"}
    )
    model_card: str = field(
        default="", metadata={"help": "file with the model's preprocessing, if not beside the model"}
    )
    host: str = field(default="127.0.0.1", metadata={"help": "address the server listens on"})
    port: int = field(default=8000, metadata={"help": "port the server listens on"})
    workers: int = field(default=0, metadata={"help": "processes; 0: one for each core, four at most", "least": 0})
    cores: int = field(
        default=0, metadata={"help": "cores one worker computes on; 0: its share of those there are", "least": 0}
    )
    threads: int = field(default=80, metadata={"help": "requests one worker has in hand at a time, of any kind"})
    queue: int = field(default=64, metadata={"help": "identifications one worker has in hand; more get a 503"})
    batch: int = field(default=32, metadata={"help": "photos that share a batch of the model, at most"})
    deadline: int = field(default=30, metadata={"help": "seconds until an answer that is not ready is given up"})
    cache_megabytes: int = field(default=64, metadata={"help": "memory of one worker for answers and embeddings"})
    thumbnail_megabytes: int = field(
        default=500, metadata={"help": "disk for pictures drawn from reference photos; 0: none are kept", "least": 0}
    )
    gpu_megabytes: int = field(
        default=0, metadata={"help": "memory of each GPU for searching; 0: search on the CPU", "least": 0}
    )
    gpu_keeps: str = field(
        default="floras",
        metadata={
            "help": "what lies on GPUs: floras, a copy of each hot one; lists, every reference once",
            "choices": ("floras", "lists"),
        },
    )
    cluster: str = field(
        default="",
        metadata={"help": "address of a Ray cluster, HOST:PORT or ray://HOST:PORT; empty: this machine alone"},
    )
    cluster_storage: str = field(
        default="",
        metadata={
            "help": "where the cluster keeps what a bulk job has done: a folder that all see, or s3://BUCKET/PREFIX"
        },
    )
    shards: int = field(default=3, metadata={"help": "parts that the references are searched in on a cluster"})
    replicas: int = field(default=2, metadata={"help": "processes on the cluster that hold the same part"})
    shard_timeout: int = field(default=5, metadata={"help": "seconds until a part that gives no answer is given up"})
    metrics: str = field(
        default="loopback",
        metadata={"help": "who may read /metrics", "choices": ("loopback", "everybody", "nobody")},
    )
    log: str = field(default="json", metadata={"help": "form of the log", "choices": ("json", "text")})
    log_level: str = field(
        default="info",
        metadata={"help": "what is logged: info is a line a request", "choices": ("debug", "info", "warning", "error")},
    )
    max_photos: int = field(default=8, metadata={"help": "photos in one observation, at most"})
    max_batch: int = field(default=100, metadata={"help": "observations in one batch, at most"})
    max_batch_bytes: int = field(default=200_000_000, metadata={"help": "bytes of one batch, at most"})
    max_photo_bytes: int = field(default=20_000_000, metadata={"help": "bytes of one photo, at most"})
    max_photo_pixels: int = field(default=64_000_000, metadata={"help": "pixels of one photo, at most"})
    answer_days: int = field(default=90, metadata={"help": "days that an answer is kept whose link was asked for"})
    tiles: str = field(default="", metadata={"help": "address of map tiles with {z}, {x}, {y}; empty: outlines only"})
    tiles_credit: str = field(default="", metadata={"help": "who made the map tiles; shown on every map"})
    cors_origins: str = field(
        default="", metadata={"help": "web pages of others that may ask from a browser: origins with commas, or *"}
    )
    fetch_allow: str = field(
        default="",
        metadata={
            "help": "networks that photos may be fetched from though they are not public",
            "example": "10.1.0.0/16",
        },
    )

    identify: str = field(
        default="open", metadata={"help": "who may identify: anybody, or with a key", "choices": ("open", "keyed")}
    )
    daily_quota: int = field(default=500, metadata={"help": "identifications a person has each day, UTC"})
    anonymous_quota: int = field(
        default=0,
        metadata={"help": "identifications a day of an address without a key; 0: not limited", "least": 0},
    )
    limits: str = field(
        default="memory://", metadata={"help": "where quotas are counted: memory://, or redis://HOST:PORT/0"}
    )
    secret_file: str = field(default="", metadata={"help": "file with the secret that signs sessions"})
    https: str = field(default="no", metadata={"help": "cookies over HTTPS only", "choices": ("no", "yes")})
    proxies: int = field(default=0, metadata={"help": "reverse proxies in front, believed on addresses", "least": 0})

    observation_photos: str = field(
        default="", metadata={"help": "where photos of observations are kept: a folder, or s3://BUCKET/PREFIX"}
    )
    photo_side: int = field(default=2048, metadata={"help": "pixels of the longer side of a photo that is kept"})
    originals: str = field(
        default="no", metadata={"help": "yes: photos are kept at full size too", "choices": ("no", "yes")}
    )
    reference_licences: str = field(
        default="open",
        metadata={
            "help": "licences under which approved observations become references",
            "choices": ("open", "noncommercial", "none"),
        },
    )
    public_url: str = field(default="", metadata={"help": "address under which the world reaches this server"})

    @property
    def photos_at(self) -> str:
        """Where photos of observations are kept, with the default filled in."""
        return self.observation_photos or str((self.data / "observations").absolute())

    @property
    def database_url(self) -> str:
        """The database's address, with the default filled in."""
        return self.database or f"sqlite:///{self.data / 'fungarium.sqlite'}"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from environment variables; raise SettingsError for unknown names and impossible values."""
    given = os.environ if environment is None else environment
    known = {PREFIX + setting.name.upper(): setting for setting in fields(Settings)}
    values: dict[str, object] = {}
    for name, text in sorted(given.items()):
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            raise SettingsError(f"there is no setting {name}; there are: {', '.join(sorted(known))}")
        values[known[name].name] = parse_setting(name, text, known[name].type, known[name].metadata)
    return Settings(**values)  # type: ignore[arg-type] # each value was parsed to its field's type


def parse_setting(name: str, text: str, kind: object, metadata: Mapping[str, Any]) -> object:
    """Bring a setting's text to its type; `choices` and `least` of its metadata bound it."""
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
    if kind == "Path":
        if not text:
            raise SettingsError(f"{name} must name a folder")
        return Path(text)
    return text
