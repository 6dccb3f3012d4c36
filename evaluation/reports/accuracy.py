"""`fungarium evaluate accuracy`: measures the table of docs/accuracy.md, and writes it from what was measured.

docs/accuracy/simulated.json   the simulated operating point
docs/accuracy/photos.json      real photos, where a snapshot of them is given
docs/accuracy.md               the table, from the two
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIMULATED, PHOTOS = "accuracy/simulated.json", "accuracy/photos.json"


@dataclass(frozen=True, slots=True)
class AccuracyLine:
    """A line of the table: what is demanded, and how to read it from the measurements."""

    title: str
    demand: str
    holds: Callable[[Mapping[str, Any]], bool]
    shown: Callable[[Mapping[str, Any]], str]


def gain_line(title: str, row: str, least: float) -> AccuracyLine:
    """A line of a gain in points of top-1."""

    def shown(found: Mapping[str, Any]) -> str:
        one = found["rows"][row]
        return (
            f"{one['gain']:+.1f} ({one['low']:+.1f} to {one['high']:+.1f}): {one['before']:.3f} to {one['after']:.3f}"
        )

    return AccuracyLine(title, f"+{least:g} points", lambda found: bool(found["rows"][row]["gain"] >= least), shown)


SIMULATED_LINES = (
    AccuracyLine(
        "plain 1-NN, species recall@1 and recall@5 (what the simulation is set by)",
        "0.399 +- 0.01, 0.60 +- 0.02",
        lambda found: abs(found["recall1"] - 0.399) <= 0.01 and abs(found["recall5"] - 0.60) <= 0.02,
        lambda found: f"{found['recall1']:.3f}, {found['recall5']:.3f}",
    ),
    gain_line("kernel votes and prototypes over 1-NN, top-1", "votes and prototypes over 1-NN", 4),
    gain_line("prior correction, long-tailed gallery to uniform queries, top-1", "uniform prior", 3.8),
    gain_line("2 to 4 photos over one, top-1", "2 to 4 photos over one", 7),
    gain_line("regional flora (30 % of species) over world, top-1", "regional flora over world", 5),
    gain_line("season and place priors, top-1", "season and place", 2.5),
    AccuracyLine(
        "specificity at target 90 %, unseen half",
        "90 +- 1 %, depth 5.09 of 7",
        lambda found: abs(found["specificity"]["accuracy"] - 0.9) <= 0.01 and found["specificity"]["depth"] >= 5.09,
        lambda found: (
            f"{found['specificity']['accuracy']:.1%}, depth {found['specificity']['depth']:.2f} "
            f"(halves exchanged: {found['specificity']['accuracyWithHalvesExchanged']:.1%})"
        ),
    ),
    AccuracyLine(
        "expected calibration error of the top score, unseen half",
        "0.03",
        lambda found: bool(found["calibrationError"] <= 0.03),
        lambda found: f"{found['calibrationError']:.3f}",
    ),
)


def interval(found: Mapping[str, Any], name: str) -> str:
    """A measure with its interval."""
    one = found["measures"][name]
    return f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"


PHOTO_LINES = (
    AccuracyLine(
        "species top-1 by observation",
        "0.45",
        lambda found: bool(found["measures"]["top1"]["value"] >= 0.45),
        lambda found: interval(found, "top1"),
    ),
    AccuracyLine(
        "species top-5 by observation",
        "0.65",
        lambda found: bool(found["measures"]["top5"]["value"] >= 0.65),
        lambda found: interval(found, "top5"),
    ),
    AccuracyLine("genus top-1", "report", lambda found: True, lambda found: interval(found, "genusTop1")),
    AccuracyLine(
        "telling photos of no fungus apart, AUROC",
        "0.99",
        lambda found: bool(found["rejection"].get("notFungi", {"auroc": 0.0})["auroc"] >= 0.99),
        lambda found: f"{found['rejection'].get('notFungi', {'auroc': float('nan')})['auroc']:.4f}",
    ),
    AccuracyLine(
        "species left out of the gallery, AUROC",
        "report",
        lambda found: True,
        lambda found: f"{found['rejection']['unreferencedByProbability']['auroc']:.3f}",
    ),
    AccuracyLine(
        "expected calibration error of the top score",
        "report",
        lambda found: True,
        lambda found: (
            f"{found['calibrationError']:.3f}; {found['calibrationErrorByChance']:.3f} if scores were perfect, "
            "by so few observations"
        ),
    ),
)


def write_measurement(docs: Path, place: str, found: Mapping[str, Any]) -> None:
    """Keep a measurement in the repository."""
    path = docs / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_measurement(docs: Path, place: str) -> dict[str, Any]:
    """A kept measurement; empty where there is none."""
    path = docs / place
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write_table(docs: Path) -> str:
    """docs/accuracy.md from the kept measurements; gives its text."""
    simulated, photos = read_measurement(docs, SIMULATED), read_measurement(docs, PHOTOS)
    text = "\n".join([*introduction(simulated, photos), *tables(simulated, photos), *closing(simulated, photos)]) + "\n"
    (docs / "accuracy.md").write_text(text, encoding="utf-8")
    return text


def tables(simulated: Mapping[str, Any], photos: Mapping[str, Any]) -> list[str]:
    """The lines, each with what is demanded, what was measured, and whether it holds."""
    lines = []
    for title, given, found in (
        ("on the simulated operating point", SIMULATED_LINES, simulated),
        ("on real photos, B4 model, by nested cross-validation", PHOTO_LINES, photos),
    ):
        if found:
            lines += ["", f"| {title} | at least | measured | |", "|---|---|---|---|"]
            lines += [
                f"| {line.title} | {line.demand} | {line.shown(found)} | {'holds' if line.holds(found) else 'MISSED'} |"
                for line in given
            ]
    return lines


def introduction(simulated: Mapping[str, Any], photos: Mapping[str, Any]) -> list[str]:
    """What was measured, and how to measure it again."""
    return [
        "# Accuracy",
        "",
        "Written by `fungarium evaluate accuracy`; do not edit. To measure anew (paths are yours; one thread is",
        "fastest where other programs run):",
        "",
        "    OPENBLAS_NUM_THREADS=1 fungarium evaluate accuracy --names val.json --photos INDEXES \\",
        "        --model onnx:MODEL --card CARD --not-fungi FOLDER",
        "",
        f"Simulated: {simulated.get('species', 0):,} species, {simulated.get('references', 0):,} references, "
        f"{simulated.get('queries', 0):,} observations, seed {simulated.get('seed', 0)}, "
        f"{simulated.get('seconds', 0)} s in all. Every gain is over the same baseline",
        "(one photo, world, votes and prototypes, no prior), with its 95 % bootstrap interval over observations.",
        f"Real: {photos.get('observations', 0)} observations, {photos.get('references', 0)} photos, model "
        f"{photos.get('model', '-')}, seed {photos.get('seed', 0)}, {photos.get('folds', 0)} folds; each one is judged "
        "by",
        "numbers that were learned without it.",
    ]


def closing(simulated: Mapping[str, Any], photos: Mapping[str, Any]) -> list[str]:
    """The ablations, and what the simulation cannot show."""
    lines = ["", "## Each rule on and off", ""]
    if simulated:
        lines += ["| simulated, top-1 | |", "|---|---|"]
        lines += [f"| {name} | {value:.3f} |" for name, value in simulated["ablation"].items()]
    if photos:
        lines += ["", "| real photos | top-1 | top-5 | points against the default |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {one['top1']:.3f} | {one['top5']:.3f} | "
            f"{one['change']:+.1f} ({one['low']:+.1f} to {one['high']:+.1f}) |"
            for name, one in photos["ablation"].items()
        ]
    return [
        *lines,
        "",
        "## What the simulation cannot show",
        "",
        "Species are normal clouds in it, which is what prototypes in a learned metric assume: they gain far more",
        "there than on real photos (the two tables above). Read its first line as an upper bound, the others as what",
        "each rule adds on top. Its assumptions and their sources stand in `evaluation/galleries/simulate.py`.",
    ]
