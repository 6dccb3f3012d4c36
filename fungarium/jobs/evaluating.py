"""Measures a snapshot and writes accuracy reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from database.errors import DatabaseError, NoDatabase
from database.field.feedback import count_feedback
from database.session import open_database
from evaluation.measuring.leave_one_out import count_queries, judge_snapshot
from evaluation.measuring.metrics import Outcome, measure
from evaluation.reports.accuracy import DRAWINGS, PHOTOS, SIMULATED, place_of, write_measurement, write_table
from evaluation.reports.feedback_table import describe_feedback
from evaluation.reports.operating_point import measure_operating_point
from evaluation.reports.report import make_report
from evaluation.reports.report_page import write_page
from retrieval.errors import BuildError, UnreadablePhoto, UnsupportedPhoto
from retrieval.models.embedder import Embeddings
from retrieval.models.handles import open_model
from retrieval.photos.views import decode_view
from retrieval.progress import Progress
from retrieval.ranking.votes import Voting
from retrieval.snapshots.snapshot import Snapshot, open_snapshot

Options = Mapping[str, Any]
PIPELINES = {
    "served": "the served pipeline, fitted in folds without it",
    "votes alone": "the votes of similar photos alone",
}
TITLES = {
    "top1": "species right, first place",
    "top3": "species among the first 3",
    "top5": "species among the first 5",
    "meanReciprocalRank": "mean reciprocal rank",
    "macroF1": "macro-F1 over species",
    "genusTop1": "genus of the first place right",
}


def measure_snapshot(root: Path, name: str | None, options: Options, progress: Progress) -> None:
    """Evaluate by leave-one-out and print the result; raises BuildError if no observation can be held out."""
    snapshot = open_snapshot(root, name)
    voting, flora = None, options["flora"]
    if options["temperature"] is not None:
        if not 0 < options["temperature"] < float("inf"):
            raise BuildError("--temperature must be above 0")
        voting = Voting(snapshot.voting.neighbours, options["temperature"])
    if options["photos"] is not None and options["photos"] < 1:
        raise BuildError("--photos must be at least 1")
    if not count_queries(snapshot, flora):
        raise BuildError(f"no species of {flora} has two observations, so none can be held out")
    outcomes = judge_snapshot(
        snapshot, flora=flora, voting=voting, photos=options["photos"], seed=options["seed"], progress=progress
    )
    result = describe(snapshot, outcomes, flora, voting, options["seed"])
    file, text = options["file"], json.dumps(result, indent=2, allow_nan=False)
    if file and file != "-":
        Path(file).write_text(text + "\n", encoding="utf-8")
    print(text if file == "-" else "\n".join(lines(result)))


def describe(
    snapshot: Snapshot, outcomes: list[Outcome], flora: str, voting: Voting | None, seed: int
) -> dict[str, Any]:
    """Convert the result to JSON values; with `voting`, only the votes were used."""
    served = voting is None and snapshot.calibration.calibrated
    return {
        "snapshot": snapshot.name,
        "model": snapshot.model,
        "flora": flora,
        "pipeline": "served" if served else "votes alone",
        "voting": asdict(voting or snapshot.voting),
        "observations": len(outcomes),
        "photos": sum(outcome.photos for outcome in outcomes),
        "references": snapshot.references,
        "seed": seed,
        "measures": {name: asdict(found) for name, found in measure(outcomes, seed=seed).items()},
    }


def lines(result: dict[str, Any]) -> list[str]:
    """Format the result as text."""
    head = (
        f"{result['observations']} observations ({result['photos']} photos) searched in flora {result['flora']}, each "
        f"with its own group left out,\nby {PIPELINES[result['pipeline']]}\n"
        f"snapshot {result['snapshot']}, model {result['model']}, seed {result['seed']}"
    )
    rows = [
        f"  {TITLES[name]:32} {found['value']:.3f}   95 % interval {found['low']:.3f} to {found['high']:.3f}"
        for name, found in result["measures"].items()
    ]
    return [head, "", *rows]


def write_report(root: Path, name: str | None, options: Options, database_url: str, progress: Progress) -> None:
    """Write the report of a snapshot as a page, and as JSON beside it, with what visitors said of its answers."""
    snapshot = open_snapshot(root, name)
    found = make_report(
        snapshot,
        flora=options["flora"],
        seed=options["seed"],
        not_fungi=embed_not_fungi(options, snapshot.model, progress),
        ablations=not options["no_ablations"],
        progress=progress,
    )
    found["feedback"] = read_feedback(database_url, snapshot.name, progress)
    out: Path = options["out"]
    if out.is_dir() or not out.suffix:
        out = out / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, allow_nan=False)
    out.write_text(write_page(found), encoding="utf-8")
    beside = out.with_suffix(".json")
    beside.write_text(text + "\n", encoding="utf-8")
    print(out)
    print(beside)


def read_feedback(database_url: str, snapshot: str, progress: Progress) -> dict[str, Any] | None:
    """Return what visitors said of a snapshot's answers; None, and why, if the database cannot be read."""
    try:
        with open_database(database_url) as database, database.reading() as session:
            return describe_feedback([asdict(one) for one in count_feedback(session, snapshot)])
    except NoDatabase:
        return None
    except DatabaseError as error:
        progress(f"feedback of visitors is left out: {error}")
        return None


def write_accuracy(options: Options, progress: Progress) -> None:
    """Measure the given collections and write the table of docs/accuracy.md."""
    docs: Path = options["docs"]
    if not options["table_only"]:
        if not options["no_simulation"]:
            simulated = measure_operating_point(names=options["names"], seed=options["seed"], progress=progress)
            write_measurement(docs, SIMULATED, simulated)
        if options["drawings"]:
            drawn = open_snapshot(options["drawings"])
            found = make_report(drawn, seed=options["seed"], ablations=False, progress=progress)
            write_measurement(docs, place_of(DRAWINGS, drawn.model), found)
        if options["photos"]:
            snapshot = open_snapshot(options["photos"])
            not_fungi = embed_not_fungi(options, snapshot.model, progress)
            found = make_report(snapshot, seed=options["seed"], not_fungi=not_fungi, progress=progress)
            write_measurement(docs, place_of(PHOTOS, snapshot.model), found)
    print(write_table(docs), end="")


def embed_not_fungi(options: Options, model: str, progress: Progress) -> Embeddings | None:
    """Embed the photos without a fungus, if a folder and a model are given."""
    if options["not_fungi"] is None:
        return None
    if options["model"] is None:
        raise BuildError("--not-fungi needs --model, to embed the photos as the snapshot's were")
    embedder = open_model(options["model"], options["card"])
    if embedder.model != model:
        raise BuildError(f"the snapshot was made with {model}, not with {embedder.model}")
    rows = []
    paths = sorted(options["not_fungi"].iterdir())
    for path in paths:
        progress("embed", 1, len(paths))
        try:
            rows.append(embedder.embed([decode_view(path.read_bytes(), embedder.short_side)])[0])
        except (UnsupportedPhoto, UnreadablePhoto) as error:
            progress(f"{path.name} is left out: {error}")
    if not rows:
        raise BuildError(f"no photo in {options['not_fungi']} could be read")
    return np.stack(rows)
