"""The report as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from evaluation.reports.charts import Dot, dot_chart, line_chart, table
from evaluation.reports.feedback_table import feedback_section

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.2rem .8rem .2rem 0;text-align:left;border-bottom:1px solid #ddd}
figure{display:inline-block;margin:0 1rem 1rem 0;width:20rem;max-width:100%}svg{width:100%;font-size:12px}
svg rect{fill:none;stroke:#bbb}polyline{fill:none;stroke:#1b6b3a;stroke-width:2}circle{fill:#1b6b3a}
.aid{stroke:#bbb;stroke-dasharray:4}.bar{stroke:#1b6b3a}.tick{font-size:10px;fill:#666}
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
    """Format the page; all external text is escaped."""
    measures = [(TITLES[k], m["value"], f"{m['low']:.3f} to {m['high']:.3f}") for k, m in report["measures"].items()]
    head = (
        f"{report['observations']} observations of {report['species']} species in flora {report['flora']}, each judged "
        f"by a calibration that was learned without it ({report['folds']} folds), with its own photos left out of "
        f"{report['references']} references. Snapshot {report['snapshot']}, model {report['model']}, seed "
        f"{report['seed']}."
    )
    parts = [
        "<h1>Accuracy of this snapshot</h1>",
        f"<p>{escape(head)}</p>",
        table(("measure", "value", "95 % interval (bootstrap over observations)"), measures),
        "<h2>Calibration of the score</h2>",
        f"<p>Expected calibration error of the top score: {report['calibrationError']:.3f}; perfectly calibrated "
        f"scores would show {report['calibrationErrorByChance']:.3f} with this many observations. Where one in twenty "
        f"is of no referenced species, as scores assume: {shown(report['calibrationErrorWithUnknown'])}.</p>",
        f"<p>{escape(report['leftOut']['words'])}</p>",
        charts(report),
        *feedback_section(report.get("feedback")),
        "<h2>Calibration and targets by list</h2>",
        *promise_tables(report["promises"]),
        "<h2>Each rule on and off</h2>",
        ablation_table(report["ablation"]),
        "<h2>Alternatives to the score</h2>",
        ablation_table(report["alternatives"]),
        *priors_and_aspects(report),
    ]
    for key, title in GROUPS:
        rows = [(row["group"], row["observations"], row["top1"], interval(row), row["top5"]) for row in report[key]]
        parts += [f"<h2>{title}</h2>", table(("", "observations", "top-1", "95 % interval", "top-5"), rows)]
    parts += ["<h2>Rejection</h2>", rejection_table(report["rejection"])]
    parts += ["<h2>Species without references</h2>", unknown_table(report["withoutReferences"])]
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
    """Return charts of reliability, of accuracy by share answered, and of rejection; dots have counts and intervals."""
    bins = [
        Dot(one["score"], one["right"], one["low"], one["high"], one["observations"]) for one in report["reliability"]
    ]
    answered = [
        Dot(one["share"], one["right"], one["low"], one["high"], one["observations"]) for one in report["coverage"]
    ]
    drawn = [
        dot_chart("Reliability of the first score", bins, x="score", y="share right", diagonal=True),
        dot_chart(
            "Accuracy of the surest answers", answered, x="share of observations answered at species", y="share right"
        ),
    ]
    titles = {"notFungi": "Photos of no fungus", "unreferencedByProbability": "Species without references"}
    for key, title in titles.items():
        if key in report["rejection"]:
            roc = sorted((false, true) for false, true in report["rejection"][key]["roc"])
            label = f"{title}: AUROC {report['rejection'][key]['auroc']:.3f}"
            drawn.append(line_chart(label, roc, x="known rejected", y="strangers rejected", diagonal=True))
    return "".join(drawn)


def shown(value: float | None) -> str:
    """Format a number with three digits, or say that there is none."""
    return "too few to tell" if value is None else f"{value:.3f}"


def interval(found: Mapping[str, Any]) -> str:
    """Format the 95 % interval of a share."""
    return f"{found['low']:.3f} to {found['high']:.3f}"


def counted(found: Mapping[str, Any]) -> str:
    """Format a share with its count and interval."""
    if found["right"] is None:
        return "none"
    return f"{found['right']:.3f} of {found['observations']} ({interval(found)})"


def promise_tables(promises: Mapping[str, Any]) -> list[str]:
    """Format calibration and specificity of the world and each list, by number of photos and by class size."""
    rows, sizes = [], []
    titles = {"allPhotos": "all", "onePhoto": "one", "severalPhotos": "several", "firstPhoto": "only the first of each"}
    for name, found in promises.items():
        for key, photos in titles.items():
            one = found[key]
            rows.append(
                (
                    name,
                    photos,
                    one["observations"],
                    counted(one["top1OnList"]),
                    shown(one["errorAllAsked"]),
                    counted(one["offListScoredHigh"]),
                    counted(one["byRank"]["species"]),
                    counted(one["byRank"]["genus"]),
                    counted(one["rightWhereAnswered"]),
                    shown(one["onListAtSpecies"]),
                    shown(one["onListAtSpeciesAtBest"]),
                )
            )
        sizes += [
            (name, size, counted(one["byRank"]["species"]), counted(one["rightWhereAnswered"]))
            for size, one in found["byClassSize"].items()
        ]
    head = (
        "list", "photos", "observations", "top-1, on the list", "calibration error", "off the list, scored 0.8 or more",
        "right at species", "right at genus", "right at any rank", "on the list, answered at species", "at best",
    )  # fmt: skip
    words = (
        "<p>All observations of the collection are searched in each list, whether their species is on it or not. "
        "Answers stop at the narrowest rank at which 90 % of answers should be right; &quot;at best&quot; is the "
        "share that thresholds fitted on these very observations would answer at species.</p>"
    )
    return [
        words,
        table(head, rows),
        "<h3>By number of reference photos of the species</h3>",
        table(("list", "reference photos", "right at species", "right at any rank"), sizes),
    ]


def unknown_table(found: Mapping[str, Any]) -> str:
    """Format results of species and genera without references: detection, rejection, and the answers given."""
    rows = [
        (
            name,
            hidden,
            shown(one[hidden]["auroc"]),
            counted(one[hidden]["rejected"]),
            counted(one["known"]["rejected"]),
            counted(one[hidden]["answeredAtSpecies"]),
            counted(one[hidden]["genusRight"]),
        )
        for name, one in found.items()
        for hidden in ("species", "genus")
        if hidden in one and "known" in one
    ]
    head = ("list", "hidden", "AUROC", "rejected", "known ones rejected", "named at species", "right at genus")
    return table(head, rows)


def points(found: Mapping[str, Any], name: str) -> str:
    """Format a change in points with its interval."""
    return f"{found[name]:+.1f} ({found['low']:+.1f} to {found['high']:+.1f})"


def ablation_table(found: Mapping[str, Any]) -> str:
    """Format each variant with the change of its top-1 against the default."""
    rows = [(k, m["top1"], m["top5"], m.get("macroF1", "-"), points(m, "change")) for k, m in found.items()]
    return table(("rules", "top-1", "top-5", "macro-F1", "points of top-1 against the default"), rows)


def priors_and_aspects(report: Mapping[str, Any]) -> list[str]:
    """Format the gains of season and place where they are known, and the weights of photos by aspect."""
    parts = []
    if report["priors"]:
        rows = [
            (k, m["observations"], m["before"], m["after"], points(m, "gain"), m["calibrationError"])
            for k, m in report["priors"].items()
        ]
        head = ("prior", "observations", "top-1 without", "with", "points", "calibration error")
        parts += ["<h2>Season and place, where known</h2>", table(head, rows)]
    if report["aspects"]:
        learned = report["aspects"]
        text = f"Predicted aspects are right in {learned['toldRight']:.1%}." if "toldRight" in learned else ""
        parts += [
            "<h2>Aspects of photos</h2>",
            f"<p>How much a photo counts, by its aspect. {text}</p>",
            table(("aspect", "weight"), list(learned["weights"].items())),
        ]
    return parts


def rejection_table(found: Mapping[str, Any]) -> str:
    """Format AUROC and false accepts for photos without a fungus and for unreferenced species."""
    rows = [(name, one["auroc"], one["falseAcceptAt95"]) for name, one in found.items()]
    return table(("detected", "AUROC", "accepted, where 95 % of the known are"), rows)


def pairs(found: list[Mapping[str, Any]]) -> str:
    """Format pairs of species as a table."""
    return table(
        ("species", "taken for", "observations"), [(p["species"], p["takenFor"], p["observations"]) for p in found]
    )
