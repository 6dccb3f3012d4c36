"""Identifies, or finds similar photos, in an open snapshot, and prints the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fungarium.jobs.opening import open_model_named
from fungarium.terminal import print_json
from retrieval.answers.identify import identify
from retrieval.answers.present import evidence_json, evidence_line, identification_json, identification_text, taxon_json
from retrieval.answers.similar import find_similar
from retrieval.domain import Evidence
from retrieval.errors import InvalidOption, UnreadablePhoto
from retrieval.models.embedder import Embedder
from retrieval.models.handles import open_model
from retrieval.photos.crops import Box, ViewOptions
from retrieval.photos.views import PhotoLimits
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.specificity import TARGET
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from settings import Settings

Options = Mapping[str, Any]


def print_identification(settings: Settings, options: Options) -> None:
    """Identify the photos and print the ranking; `options` are those of the command."""
    with open_inputs(settings, options) as (photos, snapshot, embedder, limits):
        answer = identify(
            photos,
            snapshot,
            embedder,
            flora=options["flora"],
            limits=limits,
            candidates=options["count"],
            options=read_options(options, snapshot),
            view_options=ViewOptions(tuple(read_box(text) for text in options["boxes"]), options["views"]),
        )
        if options["as_json"]:
            print_json(identification_json(answer, snapshot))
        else:
            print("\n".join(identification_text(answer, snapshot)))


def print_similar(settings: Settings, options: Options) -> None:
    """Find the references most similar to the photos and print them; `options` are those of the command."""
    with open_inputs(settings, options) as (photos, snapshot, embedder, limits):
        found = find_similar(photos, snapshot, embedder, flora=options["flora"], count=options["count"], limits=limits)
        if options["as_json"]:
            print_json({"references": rows(found, snapshot), "snapshot": snapshot.name, "model": snapshot.model})
        else:
            print("\n".join(lines(found, snapshot)))


@contextmanager
def open_inputs(
    settings: Settings, options: Options
) -> Iterator[tuple[Sequence[bytes], Snapshot, Embedder, PhotoLimits]]:
    """Read the photos, and open the snapshot (searched on the cluster if one is set) and the model, with the limits."""
    photos = [read_photo(path) for path in options["photos"]]
    root: Path = options["indexes"] or settings.flora_indexes
    limits = PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels, settings.max_photos)
    with closing(open_snapshot(root, options["snapshot"])) as snapshot, search_on_cluster(snapshot, root, settings):
        if options["model"] or options["card"]:
            card = options["card"] or settings.models[0][1]
            embedder = open_model(options["model"] or settings.model, card)
        else:
            embedder = open_model_named(settings, snapshot.model)
        yield photos, snapshot, embedder, limits


@contextmanager
def search_on_cluster(snapshot: Snapshot, root: Path, settings: Settings) -> Iterator[None]:
    """Search the snapshot on the cluster, if one is set."""
    if not settings.cluster:
        yield
        return
    from cluster.router import Timeouts
    from cluster.serving import searching
    from cluster.supervisor import ShardPlan

    plan = ShardPlan(
        str(root.absolute()), settings.shards, settings.replicas, settings.gpu_keeps, settings.gpu_megabytes
    )
    with searching(settings.cluster, plan, Timeouts(settings.shard_timeout)) as cluster:
        cluster.adopt(snapshot)
        yield


def read_options(options: Options, snapshot: Snapshot) -> IdentifyOptions:
    """Read the options of an identification; raises InvalidOption for an unreadable place or an unknown name."""
    coordinates = None
    if options["place"]:
        try:
            latitude, longitude = (float(part) for part in options["place"].split(","))
            if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
                raise ValueError("it is not on Earth")
        except ValueError as error:
            raise InvalidOption("--place is latitude,longitude in degrees, such as 55.68,12.57") from error
        coordinates = (latitude, longitude)
    within = []
    for name in options["within"]:
        taxon = snapshot.taxonomy.find(name)
        if taxon is None:
            raise InvalidOption(f"there is no taxon {name!r} in this snapshot")
        within.append(taxon.id)
    return IdentifyOptions(
        coordinates=coordinates,
        day=options["day"],
        habitat=options["habitat"] or "",
        substrate=options["substrate"] or "",
        priors=() if options["no_priors"] else options["priors"] or None,
        within=tuple(within),
        aspects=options["aspects"],
        target=TARGET if options["target"] is None else options["target"],
        fusion=options["fusion"],
        no_reject=options["no_reject"],
        partial=options["partial"],
    )


def read_box(text: str) -> Box | None:
    """Parse a crop; None for an empty text. Raises InvalidOption."""
    if not text.strip():
        return None
    try:
        left, top, width, height = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidOption("a box is four numbers: left,top,width,height, such as 0.25,0.1,0.5,0.8") from error
    return Box(left, top, width, height)


def rows(found: Sequence[Evidence], snapshot: Snapshot) -> list[dict[str, Any]]:
    """Convert similar references to JSON values."""
    return [
        {
            **evidence_json(evidence),
            "taxon": taxon_json(snapshot.taxonomy.taxon(evidence.reference.species), snapshot),
        }
        for evidence in found
    ]


def lines(found: Sequence[Evidence], snapshot: Snapshot) -> list[str]:
    """Format similar references as lines for a terminal."""
    return [
        f"{number:3}. {snapshot.taxonomy.taxon(evidence.reference.species).name}: {evidence_line(evidence)}"
        for number, evidence in enumerate(found, start=1)
    ]


def read_photo(path: Path) -> bytes:
    """Read a photo; raises UnreadablePhoto with a sentence that names the file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadablePhoto(f"{path} cannot be read: {error.strerror}") from error
