"""The commands of `python -m evaluation` beside the plain one: report, calibrate, accuracy."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from evaluation.learning.calibrate import calibrate_snapshot
from evaluation.reports.accuracy import PHOTOS, SIMULATED, write_measurement, write_table
from evaluation.reports.operating_point import measure_operating_point
from evaluation.reports.report import Progress, make_report
from evaluation.reports.report_page import write_page
from retrieval.domain import WORLD
from retrieval.errors import BuildError, UnreadablePhoto, UnsupportedPhoto
from retrieval.models.embedder import Embeddings
from retrieval.models.handles import open_model
from retrieval.photos.views import decode_view
from retrieval.snapshots.snapshot import open_snapshot

COMMANDS = ("report", "calibrate", "accuracy")


def run(arguments: Sequence[str], indexes: Path) -> None:
    """Run one of COMMANDS; `indexes` is the default folder of snapshots."""
    options = make_parser(indexes).parse_args(arguments)
    {"report": report, "calibrate": calibrate, "accuracy": accuracy}[options.command](options)


def make_parser(indexes: Path) -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    does = {
        "report": "write a page and JSON with everything that is known of its accuracy",
        "calibrate": "learn from the snapshot's own observations what scores mean; writes a new snapshot and prints "
        "its name, which `python -m indexer publish` takes",
        "accuracy": "measure anew what docs/accuracy.md says, and write it",
    }
    one, two, three = (commands.add_parser(name, help=words, description=words) for name, words in does.items())
    for command in (one, two):
        command.add_argument("snapshot", nargs="?", help="snapshot by name (default: the published one)")
        command.add_argument("--indexes", type=Path, default=indexes, help="folder of the snapshots")
    one.add_argument("--flora", default=WORLD, help="flora to search (default: %(default)s)")
    one.add_argument(
        "--out", type=Path, default=Path("report.html"), help="page; the JSON lies beside it (default: %(default)s)"
    )
    one.add_argument("--no-ablations", action="store_true", help="leave out the ablation table, the longest part")
    three.add_argument("--names", type=Path, help="COCO file with names of species and genera (default: invented)")
    three.add_argument("--photos", type=Path, help="folder of a published snapshot of real photos")
    three.add_argument("--docs", type=Path, default=Path("docs"), help="where to write (default: %(default)s)")
    three.add_argument("--table-only", action="store_true", help="write the table from the kept measurements")
    for command in (one, three):
        command.add_argument("--not-fungi", type=Path, help="folder of photos that show no fungus")
        command.add_argument("--model", help="model handle, to embed them")
        command.add_argument("--card", type=Path, help="the model's card")
    for command in (one, two, three):
        command.add_argument("--seed", type=int, default=1, help="of every random choice (default: %(default)s)")
    return parser


def report(options: argparse.Namespace) -> None:
    """Write the report of a snapshot."""
    snapshot = open_snapshot(options.indexes, options.snapshot)
    strangers = embed_strangers(options, snapshot.model)
    with tqdm(desc="reading", unit="step", file=sys.stderr) as bar:
        found = make_report(
            snapshot,
            flora=options.flora,
            seed=options.seed,
            strangers=strangers,
            ablations=not options.no_ablations,
            progress=shown_on(bar),
        )
    options.out.write_text(write_page(found), encoding="utf-8")
    beside = options.out.with_suffix(".json")
    beside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(options.out)
    print(beside)


def shown_on(bar: tqdm[Any]) -> Progress:
    """A report's progress on a bar."""

    def expect(steps: int) -> None:
        bar.total = steps
        bar.refresh()

    return Progress(expect, bar.update, bar.set_description)


def calibrate(options: argparse.Namespace) -> None:
    """Learn, write the new snapshot and print its name, which `python -m indexer publish NAME` takes."""
    snapshot = open_snapshot(options.indexes, options.snapshot)
    name = calibrate_snapshot(options.indexes, snapshot, seed=options.seed, say=say)
    open_snapshot(options.indexes, name).close()
    print(name)


def accuracy(options: argparse.Namespace) -> None:
    """Measure what is given and write the table."""
    if not options.table_only:
        simulated = measure_operating_point(names=options.names, seed=options.seed, say=say)
        write_measurement(options.docs, SIMULATED, simulated)
        if options.photos:
            snapshot = open_snapshot(options.photos)
            strangers = embed_strangers(options, snapshot.model)
            with tqdm(desc="photos", unit="step", file=sys.stderr) as bar:
                found = make_report(snapshot, seed=options.seed, strangers=strangers, progress=shown_on(bar))
            write_measurement(options.docs, PHOTOS, found)
    print(write_table(options.docs), end="")


def embed_strangers(options: argparse.Namespace, model: str) -> Embeddings | None:
    """Embeddings of the photos that show no fungus, where a folder and a model are given."""
    if options.not_fungi is None:
        return None
    if options.model is None:
        raise BuildError("--not-fungi needs --model, to embed the photos as the snapshot's were")
    embedder = open_model(options.model, options.card)
    if embedder.model != model:
        raise BuildError(f"the snapshot was made with {model}, not with {embedder.model}")
    rows = []
    for path in tqdm(sorted(options.not_fungi.iterdir()), desc="embed", unit="photo", file=sys.stderr):
        try:
            rows.append(embedder.embed([decode_view(path.read_bytes(), embedder.short_side)])[0])
        except (UnsupportedPhoto, UnreadablePhoto) as error:
            say(f"{path.name} is left out: {error}")
    if not rows:
        raise BuildError(f"no photo in {options.not_fungi} could be read")
    return np.stack(rows)


def say(text: str) -> None:
    """Progress for people."""
    print(text, file=sys.stderr)
