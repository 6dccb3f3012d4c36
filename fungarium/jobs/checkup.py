"""The checks of `fungarium doctor`. Each opens the real thing, changes nothing, and yields findings."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any, Final

from database.collection.duplicates import count_duplicates
from database.collection.photos import OBSERVED, STORED, count_references, references, stored_path
from database.field.photo_files import PhotoFiles
from database.session import describe_address, latest_revision, open_database
from fungarium import PROGRAM, __version__
from fungarium.jobs.opening import open_model_named
from indexer.embedding.advice import ADVICE, read_advice
from retrieval.devices.faiss_gpu import count_gpus
from retrieval.errors import FungariumError, NoSnapshot, SettingsError
from retrieval.models.handles import open_model
from retrieval.models.network import NetworkEmbedder
from retrieval.models.retired import describe_mismatch
from retrieval.photos.views import RULE
from retrieval.progress import Progress
from retrieval.snapshots.card import describe_calibration
from retrieval.snapshots.history import read_history
from retrieval.snapshots.lines import list_lines
from retrieval.snapshots.manifest import STABLE, Manifest, read_current, read_manifest, sealed_path
from settings import Settings, read_settings
from web.http.assets import BUILT, STATIC, Assets
from web.http.languages import LANGUAGES, count_translated

OK, NOTE, BROKEN = "ok", "note", "broken"
NEEDED: Final = ("numpy", "faiss-cpu", "openvino", "pillow", "sqlalchemy", "alembic", "flask", "gunicorn", "click")
ALTERNATIVES: Final = {"faiss-cpu": "faiss-gpu"}
EXTRAS: Final = {
    "openTSNE": "the atlas by t-SNE, requirements-atlas.txt",
    "pillow-heif": "photos in HEIC",
    "onnxruntime-gpu": "models on GPUs, requirements-gpu.txt",
    "torch": "training, requirements-train.txt",
    "timm": "models of timm, requirements-timm.txt",
    "tensorflow": "hub: models by address, requirements-tfhub.txt",
    "nncf": "models at int8, requirements-int8.txt",
    "psycopg": "PostgreSQL, requirements-postgresql.txt",
    "redis": "quotas of several workers, requirements-redis.txt",
    "s3fs": "photos in S3, requirements-s3.txt",
    "ray": "a cluster, requirements-ray.txt",
}
PHOTOS: Final = 20_000  # of the catalogue that are checked, at most
SECONDS: Final = 20.0  # time limit of that check
MIN_FREE_DISK: Final = 1_000_000_000  # bytes free, below which a build may fail
MIN_FREE_MEMORY: Final = 500_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check; `state` is OK, NOTE (something optional is missing) or BROKEN."""

    name: str
    state: str
    text: str
    advice: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return asdict(self)


def check_all(progress: Progress) -> Iterator[Finding]:
    """Yield all findings in order. A check that raises becomes a finding, so that the others still run."""
    yield from check_program()
    try:
        settings = read_settings()
    except SettingsError as error:
        yield Finding("settings", BROKEN, str(error), "correct the environment variable, or unset it")
        return
    given = sorted(name for name in os.environ if name.startswith("FUNGARIUM_"))
    yield Finding("settings", OK, f"{len(given)} given" + (f": {', '.join(given)}" if given else ", all by default"))
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("database", lambda: check_database(settings, progress)),
        ("model", lambda: check_model(settings)),
        ("snapshot", lambda: check_snapshot(settings)),
        ("lines", lambda: check_lines(settings)),
        ("disk", lambda: check_disk(settings)),
        ("memory", check_memory),
        ("gpus", lambda: check_gpus(settings)),
        ("cluster", lambda: check_cluster(settings)),
        ("languages", check_languages),
        ("scripts", check_scripts),
    ]
    for name, check in checks:
        try:
            yield from check()
        except (FungariumError, OSError) as error:
            yield Finding(name, BROKEN, str(error))


def check_program() -> Iterator[Finding]:
    """Report the versions of the program, of Python and of packages."""
    yield Finding(
        "program",
        OK,
        f"Fungarium {__version__} in {PROGRAM}, Python {platform.python_version()}, {platform.platform()}",
        details={"version": __version__, "program": str(PROGRAM), "python": platform.python_version()},
    )
    found = {name: installed(name) or installed(ALTERNATIVES.get(name, name)) for name in NEEDED}
    if missing := [name for name, number in found.items() if not number]:
        yield Finding("packages", BROKEN, f"missing: {', '.join(missing)}", "pip install -r requirements.txt")
    yield Finding("packages", OK, format_versions(found), details=found)
    extras = {name: installed(name) for name in EXTRAS}
    there = {name: number for name, number in extras.items() if number}
    absent = [f"{name} ({EXTRAS[name]})" for name, number in extras.items() if not number]
    yield Finding("extras", OK, format_versions(there) or "none", details=extras)
    if absent:
        yield Finding("extras", NOTE, f"not installed: {'; '.join(absent)}")


def installed(name: str) -> str:
    """Return the version of a package; empty if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def format_versions(versions: dict[str, str]) -> str:
    """Format packages with versions."""
    return ", ".join(f"{name} {number}" for name, number in versions.items() if number)


def check_database(settings: Settings, progress: Progress) -> Iterator[Finding]:
    """Check the database, its revision, and whether its reference photos exist."""
    address = describe_address(settings.database_url)
    file = settings.data / "fungarium.sqlite"
    if not settings.database and not file.exists():
        advice = "`fungarium collection import` creates it in FUNGARIUM_DATA"
        yield Finding("database", NOTE, f"there is none at {file} yet", advice)
        return
    with open_database(settings.database_url) as database, database.reading() as session:
        total = count_references(session)
        revision = latest_revision()
        text = f"{address}, revision {revision}, {total:,} reference photos"
        yield Finding("database", OK, text, details={"revision": revision, "referencePhotos": total})
        twins = count_duplicates(session)
        checked, missing = 0, []
        stored, observed = settings.data / "photos", PhotoFiles(settings.photos_at).folder
        until = time.monotonic() + SECONDS
        for photo in islice(references(session), PHOTOS):  # ordered by digest, so the first are a fair sample
            if time.monotonic() > until:
                break
            progress("photos", 1, min(total, PHOTOS))
            checked += 1
            path = find_photo(photo.location, photo.sha256, stored, observed)
            if path is not None and not path.is_file():
                missing.append(str(path))
    if twins:
        text = "; ".join(f"{count:,} of {one} and {other}" for (one, other), count in twins.items())
        advice = "nothing: both are kept, and held out together; `fungarium collection duplicates` lists them"
        yield Finding("duplicates", NOTE, f"observations that are probably in two datasets: {text}", advice)
    part = "all" if checked == total else f"a sample of {checked:,} of {total:,}"
    details = {"lookedAt": checked, "missing": len(missing), "examples": missing[:3]}
    if missing:
        text = f"{len(missing):,} reference photos are not on disk ({part} checked), such as {missing[0]}"
        advice = "mount or restore their folder, or import their archive again, with --copy to keep a copy"
        yield Finding("photos", BROKEN, text, advice, details)
    elif total:
        yield Finding("photos", OK, f"reference photos are on disk ({part} checked)", details=details)
    else:
        yield Finding("photos", NOTE, "no reference photos yet", "`fungarium collection import` reads an archive")


def find_photo(location: str, sha256: str, stored: Path, observed: Path | None) -> Path | None:
    """Return the path of a reference photo; None for one in an object store, which is not checked."""
    if location.startswith(OBSERVED):
        return stored_path(observed, sha256) if observed else None
    return stored_path(stored, sha256) if location.startswith(STORED) else Path(location)


def check_model(settings: Settings) -> Iterator[Finding]:
    """Open the model, and say whether a head of the collection's own would help, if `index build` has measured it."""
    card = Path(settings.model_card) if settings.model_card else None
    model = open_model(settings.model, card)
    yield Finding(
        "model", OK, f"{settings.model}: {model.model}", details={"handle": settings.model, "model": model.model}
    )
    if not isinstance(model, NetworkEmbedder):
        return
    fitted = model.head is not None and "fitted" in model.head.facts
    if not fitted and (found := read_advice(settings.data / "embeddings", model.backbone.name)) is not None:
        state, advice = (NOTE, ADVICE) if found.pays else (OK, "")
        yield Finding("head", state, found.describe(), advice, asdict(found))


def check_snapshot(settings: Settings) -> Iterator[Finding]:
    """Check the published snapshot: its age, the lengths of its files, and whether its model is the one that is set."""
    root = settings.flora_indexes
    try:
        name = read_current(root)
    except NoSnapshot:
        advice = "`fungarium index embed`, then `build` and `publish`, make one of the catalogue's photos"
        yield Finding("snapshot", NOTE, f"nothing has been published under {root} yet", advice)
        return
    manifest = read_manifest(root, name)
    events = [event for event in read_history(root) if event.get("snapshot") == name]
    built, published = (find_last_event(events, *kinds) for kinds in (("built",), ("published", "rolled back")))
    size = f"{manifest.references:,} references of {manifest.species:,} species, {len(manifest.floras)} floras"
    text = f"{name}, built {format_age(built)}, published {format_age(published)}: {size}"
    details = {"name": name, "built": built, "published": published, "references": manifest.references}
    if damaged := first_damaged(root, name, manifest):
        advice = "`fungarium index rollback` goes back to the one before; `fungarium index build` makes another"
        yield Finding("snapshot", BROKEN, f"{damaged} is missing or has the wrong length", advice, details)
    else:
        yield Finding("snapshot", OK, text, details=details)
    yield Finding("scores", OK if manifest.calibration else NOTE, describe_calibration(manifest))
    if manifest.references and manifest.model.get("photo_rules", [1]) != [RULE]:
        said = "some reference photos were embedded before colour profiles were read; they keep working"
        yield Finding("colours", NOTE, said, "`fungarium index embed` says how to make them anew")
    model = str(manifest.model.get("model"))
    if open_model_named(settings, model).model != model:
        advice = "until then queries are refused; FUNGARIUM_MODEL chooses the model"
        configured = open_model(*settings.models[0]).model
        yield Finding("snapshot", BROKEN, describe_mismatch(model, configured), advice)


def check_lines(settings: Settings) -> Iterator[Finding]:
    """Check the snapshots of further published lines; nothing is said where there are none."""
    root = settings.flora_indexes
    for row in list_lines(root):
        if row.line == STABLE:
            continue
        details = {"line": row.line, "name": row.snapshot, "model": row.model}
        if row.state != "whole" or (damaged := first_damaged(root, row.snapshot, read_manifest(root, row.snapshot))):
            said = row.state if row.state != "whole" else f"{damaged} is missing or has the wrong length"
            advice = (
                f"`fungarium index publish --line {row.line}` publishes another; `fungarium index retire` removes it"
            )
            yield Finding("lines", BROKEN, f"{row.line}: {said}", advice, details)
        elif open_model_named(settings, row.model).model != row.model:
            advice = "name its handle in FUNGARIUM_LINE_MODELS; until then requests that name the line are refused"
            yield Finding("lines", BROKEN, f"{row.line}: no model of the settings is {row.model}", advice, details)
        else:
            yield Finding("lines", OK, f"{row.line}: {row.snapshot}, {row.references:,} references", details=details)


def find_last_event(events: list[dict[str, str]], *kinds: str) -> str:
    """Return the time of the last event of these kinds; empty if there was none."""
    return max((event["time"] for event in events if event.get("event") in kinds), default="")


def format_age(when: str) -> str:
    """Format the age of an event."""
    if not when:
        return "at an unknown time"
    days = (datetime.now(UTC) - datetime.fromisoformat(when)).days
    return "today" if days < 1 else "yesterday" if days == 1 else f"{days} days ago"


def first_damaged(root: Path, name: str, manifest: Manifest) -> str:
    """Return the first file that is missing or has the wrong length; empty if none. `index verify` reads the bytes."""
    for seal in manifest.files:
        path = sealed_path(root, name, seal)
        if not path.is_file() or path.stat().st_size != seal.bytes:
            return str(path)
    return ""


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Check disk space and permissions where data and snapshots are written."""
    for folder in dict.fromkeys((settings.data.absolute(), settings.flora_indexes.absolute())):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        usage = shutil.disk_usage(there)
        text = f"{folder}: {usage.free / 1e9:,.1f} of {usage.total / 1e9:,.1f} GB free"
        details = {"folder": str(folder), "free": usage.free, "total": usage.total}
        if not os.access(there, os.W_OK):
            advice = "give this user write permission there, or set FUNGARIUM_DATA and FUNGARIUM_FLORA_INDEXES"
            yield Finding("disk", BROKEN, f"{there} is not writable", advice, details)
        elif usage.free < MIN_FREE_DISK:
            advice = "make room: `fungarium index compact`, and `fungarium backup prune` if backups are here"
            yield Finding("disk", BROKEN, text, advice, details)
        else:
            yield Finding("disk", OK, text, details=details)


def check_memory() -> Iterator[Finding]:
    """Report memory and cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        yield Finding("memory", NOTE, f"{cores} cores; the memory of this system is unknown")
        return
    known = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
    free, total = known["MemAvailable"], known["MemTotal"]
    text = f"{free / 1e9:,.1f} of {total / 1e9:,.1f} GB free, {cores} cores"
    low = free < MIN_FREE_MEMORY
    advice = "fewer workers (FUNGARIUM_WORKERS) use less" if low else ""
    yield Finding("memory", NOTE if low else OK, text, advice, {"free": free, "total": total, "cores": cores})


def check_gpus(settings: Settings) -> Iterator[Finding]:
    """Check the GPUs that searches can use."""
    found = count_gpus()
    if settings.gpu_megabytes and not found:
        advice = "install requirements-gpu.txt in place of faiss-cpu, or unset FUNGARIUM_GPU_MEGABYTES"
        yield Finding("gpus", BROKEN, "FUNGARIUM_GPU_MEGABYTES is set, and FAISS finds no GPU", advice)
    else:
        used = f"{settings.gpu_megabytes} MB of each used" if settings.gpu_megabytes else "searches run on the CPU"
        yield Finding("gpus", OK, f"{found} that FAISS can use, {used}", details={"gpus": found})


def check_cluster(settings: Settings) -> Iterator[Finding]:
    """Check the cluster, if one is set: connect, and count what it runs."""
    if not settings.cluster:
        yield Finding("cluster", OK, "none is set: this machine alone")
        return
    from cluster.connection import connected
    from cluster.supervisor import list_running

    with connected(settings.cluster) as ray:
        nodes = sum(bool(node["Alive"]) for node in ray.nodes())
        replicas = len(list_running(ray))
    wanted = settings.shards * settings.replicas
    text = f"{settings.cluster}: {nodes} nodes alive, {replicas} of {wanted} replicas started"
    advice = "" if replicas >= wanted else "`fungarium cluster start` starts them; `cluster status` shows more"
    yield Finding("cluster", OK if replicas >= wanted else NOTE, text, advice, {"nodes": nodes, "replicas": replicas})


def check_languages() -> Iterator[Finding]:
    """Report the languages of the pages, and how much of each is translated."""
    for language, title in LANGUAGES.items():
        done, total = count_translated(language)
        state = OK if done == total else NOTE
        text = f"{title}: {done} of {total} texts" if total else f"{title}: the source language"
        yield Finding("languages", state, text, details={"language": language, "translated": done, "texts": total})


def check_scripts() -> Iterator[Finding]:
    """Check whether the pages' scripts are built and complete."""
    files = [path for path in Assets(STATIC, BUILT).files.values() if path.parent == BUILT]
    advice = "`make pages` in a checkout builds them, then install again; the pages also work without them"
    if not files:
        yield Finding("scripts", NOTE, "the pages' scripts are not built", advice)
    elif missing := [path.name for path in files if not path.is_file()]:
        yield Finding("scripts", BROKEN, f"{len(missing)} files of the pages are missing, such as {missing[0]}", advice)
    else:
        yield Finding("scripts", OK, f"built: {len(files)} files in {BUILT}", details={"files": len(files)})
