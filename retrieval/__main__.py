"""`python -m retrieval identify --flora NAME PHOTO...`: an observation's photos in, ranked species out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

from retrieval.answers.identify import identify
from retrieval.answers.present import evidence_json, evidence_line, identification_json, identification_text, taxon_json
from retrieval.answers.similar import find_similar
from retrieval.command import run_guarded
from retrieval.domain import ASPECTS, WORLD, Evidence
from retrieval.errors import InvalidOption, UnreadablePhoto
from retrieval.models.handles import open_model
from retrieval.photos.crops import AUGMENTATIONS, Box, ViewOptions
from retrieval.photos.views import PhotoLimits
from retrieval.ranking.fusion import FUSIONS, LEARNED
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.priors import PRIORS
from retrieval.ranking.specificity import TARGET
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from settings import Settings, read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""

    def run() -> int:
        settings = read_settings()
        run_command(make_parser(settings).parse_args(arguments), settings)
        return 0

    return run_guarded(run)


def make_parser(settings: Settings) -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m retrieval", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, does in (
        ("identify", "rank the species of a flora for the photos of one observation"),
        ("similar", "list the reference photos that look most like the photos"),
    ):
        command = commands.add_parser(name, help=does, description=does)
        command.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="photos of one observation")
        command.add_argument("--flora", default=WORLD, help="flora to search (default: %(default)s)")
        command.add_argument("--count", type=at_least_one, default=10, help="how many to list (default: %(default)s)")
        command.add_argument("--json", action="store_true", help="print JSON instead of text")
        command.add_argument(
            "--indexes",
            type=Path,
            default=settings.flora_indexes,
            help="folder of the snapshots (default: %(default)s)",
        )
        command.add_argument("--snapshot", help="a snapshot by name instead of the published one")
        if name == "identify":
            add_identify_options(command)
        command.add_argument("--model", default=settings.model, help="model handle (default: %(default)s)")
        command.add_argument("--card", type=Path, default=settings.model_card or None, help="the model's card")
    return parser


def add_identify_options(command: argparse.ArgumentParser) -> None:
    """The options of an identification beside photos and flora."""
    command.add_argument("--place", help="latitude,longitude of the find in degrees")
    command.add_argument("--date", type=a_day, help="day of the find, YYYY-MM-DD")
    command.add_argument("--prior", action="append", choices=PRIORS, help="apply this prior; repeat for several")
    command.add_argument("--no-priors", action="store_true", help="apply none, whatever place and date are given")
    command.add_argument("--within", action="append", default=[], metavar="NAME", help="a taxon you are sure of")
    command.add_argument("--aspect", action="append", default=[], choices=ASPECTS, help="what each photo shows")
    command.add_argument(
        "--target", type=float, default=TARGET, help="share of answers to be right (default: %(default)s)"
    )
    command.add_argument(
        "--fusion", choices=(LEARNED, *FUSIONS), default=LEARNED, help="how photos are fused (default: as calibrated)"
    )
    command.add_argument("--views", choices=AUGMENTATIONS, default="none", help="crops that each photo is averaged of")
    command.add_argument(
        "--box",
        action="append",
        default=[],
        metavar="L,T,W,H",
        help="where the fungus is on each photo: left,top,width,height in shares of its sides; '' for the whole",
    )
    command.add_argument(
        "--partial", action="store_true", help="on a cluster: answer also where a part gives no answer, and say which"
    )
    command.add_argument("--no-reject", action="store_true", help="rank even what is probably none of these")


def read_options(options: argparse.Namespace, snapshot: Snapshot) -> IdentifyOptions:
    """The wishes of a command line; raises InvalidOption for a place or a name that cannot be read."""
    coordinates = None
    if options.place:
        try:
            latitude, longitude = (float(part) for part in options.place.split(","))
        except ValueError as error:
            raise InvalidOption("--place is latitude,longitude in degrees, such as 55.68,12.57") from error
        coordinates = (latitude, longitude)
    within = []
    for name in options.within:
        taxon = snapshot.taxonomy.find(name)
        if taxon is None:
            raise InvalidOption(f"there is no taxon {name!r} in this snapshot")
        within.append(taxon.id)
    return IdentifyOptions(
        coordinates=coordinates,
        day=options.date,
        priors=() if options.no_priors else options.prior,
        within=tuple(within),
        aspects=tuple(options.aspect),
        target=options.target,
        fusion=options.fusion,
        no_reject=options.no_reject,
        partial=options.partial,
    )


def read_box(text: str) -> Box | None:
    """The region of interest that a text gives, None for an empty one; raises InvalidOption."""
    if not text.strip():
        return None
    try:
        left, top, width, height = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidOption("a box is four numbers: left,top,width,height, such as 0.25,0.1,0.5,0.8") from error
    return Box(left, top, width, height)


def run_command(options: argparse.Namespace, settings: Settings) -> None:
    """Read the photos, open what is needed and answer on stdout."""
    photos = [read_photo(path) for path in options.photos]
    limits = PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels, settings.max_photos)
    with closing(open_snapshot(options.indexes, options.snapshot)) as snapshot, searched(snapshot, options, settings):
        answer_command(options, photos, snapshot, limits)


@contextmanager
def searched(snapshot: Snapshot, options: argparse.Namespace, settings: Settings) -> Iterator[None]:
    """Have the snapshot searched on the cluster, where one is set."""
    if not settings.cluster:
        yield
        return
    from cluster.router import Timeouts
    from cluster.serving import searching
    from cluster.supervisor import ShardPlan

    root = str(options.indexes.absolute())
    plan = ShardPlan(root, settings.shards, settings.replicas, settings.gpu_keeps, settings.gpu_megabytes)
    with searching(settings.cluster, plan, Timeouts(settings.shard_timeout)) as cluster:
        cluster.adopt(snapshot)
        yield


def answer_command(
    options: argparse.Namespace, photos: Sequence[bytes], snapshot: Snapshot, limits: PhotoLimits
) -> None:
    """Identify, or list what is similar, from an open snapshot."""
    embedder = open_model(options.model, options.card)
    if options.command == "identify":
        answer = identify(
            photos,
            snapshot,
            embedder,
            flora=options.flora,
            limits=limits,
            candidates=options.count,
            options=read_options(options, snapshot),
            view_options=ViewOptions(tuple(read_box(text) for text in options.box), options.views),
        )
        lines = identification_text(answer, snapshot)
        print(dump(identification_json(answer, snapshot)) if options.json else "\n".join(lines))
        return
    found = find_similar(photos, snapshot, embedder, flora=options.flora, count=options.count, limits=limits)
    if options.json:
        listed = [
            {
                **evidence_json(evidence),
                "taxon": taxon_json(snapshot.taxonomy.taxon(evidence.reference.species), snapshot),
            }
            for evidence in found
        ]
        print(dump({"references": listed, "snapshot": snapshot.name, "model": snapshot.model}))
    else:
        print("\n".join(similar_lines(found, snapshot)))


def similar_lines(found: Sequence[Evidence], snapshot: Snapshot) -> list[str]:
    """Similar references as lines for a terminal."""
    return [
        f"{number:3}. {snapshot.taxonomy.taxon(evidence.reference.species).name}: {evidence_line(evidence)}"
        for number, evidence in enumerate(found, start=1)
    ]


def at_least_one(text: str) -> int:
    """A number of lines to print; raises ValueError for what is none, which argparse words."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return int(text)


def a_day(text: str) -> date:
    """The day of a text; what is none is said in words that argparse shows."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a day is written YYYY-MM-DD, such as 2026-10-03, not {text!r}") from error


def read_photo(path: Path) -> bytes:
    """The bytes of a photo; raises UnreadablePhoto with a sentence that names the file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadablePhoto(f"{path} cannot be read: {error.strerror}") from error


def dump(values: object) -> str:
    """JSON for people and programs."""
    return json.dumps(values, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
