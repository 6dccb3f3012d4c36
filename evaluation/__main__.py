"""`python -m evaluation`: leave one observation out at a time, and say how often the published snapshot is right.

`python -m evaluation report`, `calibrate` and `accuracy` do more; each says what with --help.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluation.commands import COMMANDS, run
from evaluation.measuring.leave_one_out import count_queries, judge_snapshot
from evaluation.measuring.metrics import Outcome, measure
from retrieval.command import run_guarded
from retrieval.domain import WORLD
from retrieval.errors import BuildError
from retrieval.ranking.votes import Voting
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from settings import Settings, read_settings

TITLES = {
    "top1": "species right, first place",
    "top3": "species among the first 3",
    "top5": "species among the first 5",
    "meanReciprocalRank": "mean reciprocal rank",
    "macroF1": "macro-F1 over species",
    "genusTop1": "genus of the first place right",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate and print; errors meant for people go to stderr as one sentence."""

    def evaluate_or_command() -> int:
        settings = read_settings()
        given = list(sys.argv[1:] if arguments is None else arguments)
        if given and given[0] in COMMANDS:
            run(given, settings.flora_indexes)
        else:
            evaluate(make_parser(settings).parse_args(given))
        return 0

    return run_guarded(evaluate_or_command)


def make_parser(settings: Settings) -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    parser.add_argument("snapshot", nargs="?", help="snapshot by name (default: the published one)")
    parser.add_argument("--indexes", type=Path, default=settings.flora_indexes, help="folder of the snapshots")
    parser.add_argument("--flora", default=WORLD, help="flora to search (default: %(default)s)")
    parser.add_argument("--photos", type=int, help="ask with the first so many photos of each observation only")
    parser.add_argument("--temperature", type=float, help="of the votes' kernel (default: the snapshot's)")
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON too; - for stdout instead of text")
    return parser


def evaluate(options: argparse.Namespace) -> None:
    """Judge the snapshot and print what came out."""
    snapshot = open_snapshot(options.indexes, options.snapshot)
    voting = snapshot.voting
    if options.temperature is not None:
        if options.temperature <= 0:
            raise BuildError("--temperature must be above 0")
        voting = Voting(voting.neighbours, options.temperature)
    if options.photos is not None and options.photos < 1:
        raise BuildError("--photos must be at least 1")
    total = count_queries(snapshot, options.flora)
    if not total:
        raise BuildError(f"no species of {options.flora} has two observations, so none can be left out and asked for")
    with tqdm(total=total, desc="evaluate", unit="observation", file=sys.stderr) as bar:
        outcomes = judge_snapshot(
            snapshot, flora=options.flora, voting=voting, photos=options.photos, advance=bar.update
        )
    result = report(snapshot, outcomes, options.flora, voting, options.seed)
    if options.json == "-":
        print(json.dumps(result, indent=2))
        return
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print("\n".join(lines(result)))


def report(snapshot: Snapshot, outcomes: list[Outcome], flora: str, voting: Voting, seed: int) -> dict[str, Any]:
    """The result as JSON values."""
    return {
        "snapshot": snapshot.name,
        "model": snapshot.model,
        "flora": flora,
        "voting": asdict(voting),
        "observations": len(outcomes),
        "photos": sum(outcome.photos for outcome in outcomes),
        "references": snapshot.manifest.references,
        "seed": seed,
        "measures": {name: asdict(found) for name, found in measure(outcomes, seed=seed).items()},
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The result as text."""
    head = (
        f"{result['observations']} observations ({result['photos']} photos) asked of flora {result['flora']}, each "
        f"with its own photos left out\nsnapshot {result['snapshot']}, model {result['model']}, seed {result['seed']}"
    )
    rows = [
        f"  {TITLES[name]:32} {found['value']:.3f}   95 % interval {found['low']:.3f} to {found['high']:.3f}"
        for name, found in result["measures"].items()
    ]
    return [head, "", *rows]


if __name__ == "__main__":
    sys.exit(main())
