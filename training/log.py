"""The log of a training: two CSV files and a page of curves."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation.reports.charts import line_chart

EVERY = 20
"""Steps between two lines of the log."""


class Log:
    """`steps.csv` and `judged.csv` in a folder; a resumed training appends to them."""

    def __init__(self, folder: Path, ranks: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ranks = tuple(ranks)

    def step(self, step: int, loss: float, parts: Sequence[float], rate: float, speed: float) -> None:
        """Log one step in EVERY: total loss, loss per rank, learning rate and images per second."""
        if step % EVERY and step != 1:
            return
        head = ["step", "loss", *(f"loss_{rank}" for rank in self.ranks), "rate", "pictures_per_second"]
        losses = [f"{value:.5f}" for value in (loss, *parts)]
        self._add("steps.csv", head, [str(step), *losses, f"{rate:.6g}", f"{speed:.1f}"])

    def judged(self, step: int, measures: Mapping[str, float]) -> None:
        """Log an evaluation of the averaged network."""
        self._add("judged.csv", ["step", *measures], [str(step), *(f"{value:.5f}" for value in measures.values())])

    def _add(self, name: str, head: Sequence[str], row: Sequence[str]) -> None:
        path = self.folder / name
        new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(head)
            writer.writerow(row)

    def draw(self) -> Path:
        """Plot each column of both files into `curves.html`; returns its path."""
        charts = []
        for name in ("steps.csv", "judged.csv"):
            path = self.folder / name
            if not path.exists():
                continue
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            for column in [column for column in rows[0] if column != "step"]:
                points = [(float(row["step"]), float(row[column])) for row in rows]
                top = max(1e-9, max(value for _, value in points))
                last = max(1.0, points[-1][0])
                charts.append(line_chart(column, points, x="step", y=column, x_range=(0.0, last), y_range=(0.0, top)))
        page = self.folder / "curves.html"
        style = (
            "body{font:14px sans-serif;display:flex;flex-wrap:wrap}svg{width:320px}"
            "rect,polyline{fill:none;stroke:#345}text{font-size:10px}"
        )
        page.write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Training</title>'
            f"<style>{style}</style><body>{''.join(charts)}</body></html>\n",
            encoding="utf-8",
        )
        return page
