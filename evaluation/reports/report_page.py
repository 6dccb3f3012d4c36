"""The report as one HTML page that needs nothing else: style, tables and charts stand in it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from evaluation.reports.charts import line_chart, table

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.2rem .8rem .2rem 0;text-align:left;border-bottom:1px solid #ddd}
figure{display:inline-block;margin:0 1rem 1rem 0;width:20rem;max-width:100%}svg{width:100%;font-size:12px}
svg rect{fill:none;stroke:#bbb}polyline{fill:none;stroke:#1b6b3a;stroke-width:2}circle{fill:#1b6b3a}
.aid{stroke:#bbb;stroke-dasharray:4}.tick{font-size:10px;fill:#666}
@media (prefers-color-scheme:dark){body{color:#ddd;background:#181a18}polyline{stroke:#7fd6a0}circle{fill:#7fd6a0}
svg text{fill:#ddd}}
"""
TITLES = {
    "top1": "species right, first place",
    "top3": "species among the first 3",
    "top5": "species among the first 5",
    "meanReciprocalRank": "mean reciprocal rank",
    "macroF1": "macro-F1 over species",
    "genusTop1": "genus of the first place right",
}
GROUPS = (
    ("byClassSize", "By number of reference photos of the species"),
    ("byPhotos", "By number of photos of the observation"),
    ("byGenus", "By genus"),
    ("byFamily", "By family"),
)


def write_page(report: Mapping[str, Any]) -> str:
    """The page; every text that came from outside is escaped."""
    measures = [(TITLES[k], m["value"], f"{m['low']:.3f} to {m['high']:.3f}") for k, m in report["measures"].items()]
    head = (
        f"{report['observations']} observations of {report['species']} species in flora {report['flora']}, each judged "
        f"by a calibration that was learned without it ({report['folds']} folds), with its own photos left out of "
        f"{report['references']} references. Snapshot {report['snapshot']}, model {report['model']}, seed "
        f"{report['seed']}."
    )
    parts = [
        "<h1>What this snapshot is worth</h1>",
        f"<p>{escape(head)}</p>",
        table(("measure", "value", "95 % interval (bootstrap over observations)"), measures),
        "<h2>How far the score can be trusted</h2>",
        f"<p>Expected calibration error of the top score: {report['calibrationError']:.3f}; perfectly calibrated "
        f"scores would show {report['calibrationErrorByChance']:.3f} on so many observations. Where one in twenty "
        f"is of no referenced species, as scores take for granted: {report['calibrationErrorWithUnknown']:.3f}.</p>",
        charts(report),
        specificity_words(report["specificity"]),
        "<h2>Each rule on and off</h2>",
        ablation_table(report["ablation"]),
        *priors_and_aspects(report),
    ]
    for key, title in GROUPS:
        rows = [(row["group"], row["observations"], row["top1"], row["top5"]) for row in report[key]]
        parts += [f"<h2>{title}</h2>", table(("", "observations", "top-1", "top-5"), rows)]
    floras = [(row["flora"], row["observations"], row["world"], row["inFlora"]) for row in report["byFlora"]]
    parts += ["<h2>By flora</h2>", table(("flora", "observations", "top-1, world", "top-1, in the flora"), floras)]
    parts += ["<h2>Rejection</h2>", rejection_table(report["rejection"])]
    parts += ["<h2>Most often confused</h2>", pairs(report["confusions"])]
    poison = report["poisonous"]
    parts += [
        "<h2>Poisonous species taken for others</h2>",
        f"<p>{poison['takenForOthers']} of {poison['observations']} observations of the {poison['species']} species "
        "that a source calls poisonous were taken for one that no source does. No answer says that a fungus may be "
        "eaten.</p>",
        pairs(poison["pairs"]),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Accuracy of snapshot {escape(report['snapshot'])}</title><style>{STYLE}</style></head><body>"
        f"{''.join(parts)}</body></html>\n"
    )


def charts(report: Mapping[str, Any]) -> str:
    """Reliability, accuracy against depth, and the curves of rejection."""
    bins = [(one["score"], one["right"]) for one in report["reliability"]]
    depth = [(depth, accuracy) for _, accuracy, depth in report["specificity"]["curve"]]
    drawn = [
        line_chart("Reliability", bins, x="score", y="share right", diagonal=True, dots=True),
        line_chart("Accuracy and depth", depth, x="mean depth", y="accuracy", x_range=(0.0, 7.0)),
    ]
    titles = {"notFungi": "Photos of no fungus", "unreferencedByProbability": "Species without references"}
    for key, title in titles.items():
        if key in report["rejection"]:
            roc = sorted((false, true) for false, true in report["rejection"][key]["roc"])
            label = f"{title}: AUROC {report['rejection'][key]['auroc']:.3f}"
            drawn.append(line_chart(label, roc, x="known rejected", y="strangers rejected", diagonal=True))
    return "".join(drawn)


def points(found: Mapping[str, Any], name: str) -> str:
    """A change in points with its interval."""
    return f"{found[name]:+.1f} ({found['low']:+.1f} to {found['high']:+.1f})"


def ablation_table(found: Mapping[str, Any]) -> str:
    """Each variant with the change of its top-1 against everything together."""
    rows = [(k, m["top1"], m["top5"], m.get("macroF1", "-"), points(m, "change")) for k, m in found.items()]
    return table(("rules", "top-1", "top-5", "macro-F1", "points of top-1 against the default"), rows)


def priors_and_aspects(report: Mapping[str, Any]) -> list[str]:
    """What season and place add where they are known, and how much photos count by what they show."""
    parts = []
    if report["priors"]:
        rows = [
            (k, m["observations"], m["before"], m["after"], points(m, "gain"), m["calibrationError"])
            for k, m in report["priors"].items()
        ]
        head = ("prior", "observations", "top-1 without", "with", "points", "calibration error")
        parts += ["<h2>Season and place, where they are known</h2>", table(head, rows)]
    if report["aspects"]:
        learned = report["aspects"]
        told = f"Aspects told from a photo are right in {learned['toldRight']:.1%}." if "toldRight" in learned else ""
        parts += [
            "<h2>What a photo shows</h2>",
            f"<p>How much a photo counts, by its aspect. {told}</p>",
            table(("aspect", "weight"), list(learned["weights"].items())),
        ]
    return parts


def specificity_words(found: Mapping[str, Any]) -> str:
    """The specificity decision on the unseen half."""
    return (
        f"<p>Aiming at {found['target']:.0%} right answers, the answer stops at a mean depth of {found['depth']:.2f} "
        f"of 7 and is right in {found['accuracy']:.1%} of the half that the threshold ({found['threshold']:.2f}) was "
        "not fitted on.</p>"
    )


def rejection_table(found: Mapping[str, Any]) -> str:
    """AUROC and false accepts of each kind of stranger."""
    rows = [(name, one["auroc"], one["falseAcceptAt95"]) for name, one in found.items()]
    return table(("told apart", "AUROC", "accepted, where 95 % of the known are"), rows)


def pairs(found: list[Mapping[str, Any]]) -> str:
    """Pairs of species as a table."""
    return table(
        ("species", "taken for", "observations"), [(p["species"], p["takenFor"], p["observations"]) for p in found]
    )
