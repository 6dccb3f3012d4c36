"""Measures how many observations a second are recorded, with what is acknowledged flushed to the disk or not.

    python -m benchmarks.server.recording [--rounds 5] [--clients 1 4] [--work FOLDER] [--json FILE]

Requests go through the application without HTTP, each with a photo of its own and without a suggestion. `full` is what
the server does; `normal` is `PRAGMA synchronous = NORMAL`, with which a power cut loses what was acknowledged since the
last checkpoint. Rounds alternate between the two, in alternating order. FOLDER must be on the disk that is meant.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import event

from benchmarks.machine import describe_machine
from database.accounts.api_keys import issue_key
from database.accounts.people import SCOPES_OF, add_person
from database.session import upgrade
from settings import read_settings
from web.application import create_app
from web.services import make_services

MODES = ("full", "normal")
SIDE = 640  # pixels of a photo


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--observations", type=int, default=100, help="in each round (default: %(default)s)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4], help="at the same time")
    parser.add_argument("--work", type=Path, help="folder on the disk to measure")
    parser.add_argument("--json", type=Path, help="file to write the report to as JSON")
    options = parser.parse_args(arguments)
    photos = [draw_photo(number) for number in range(options.observations)]
    found: dict[str, dict[str, Any]] = {}
    for clients in options.clients:
        rates: dict[str, list[float]] = {mode: [] for mode in MODES}
        for number in range(options.rounds):
            for mode in MODES[:: 1 if number % 2 == 0 else -1]:
                with tempfile.TemporaryDirectory(dir=options.work) as folder:
                    rates[mode].append(measure(Path(folder), mode, clients, photos))
        ratios = [full / normal for full, normal in zip(rates["full"], rates["normal"], strict=True)]
        found[str(clients)] = {
            "per_second": {mode: round(statistics.median(each), 1) for mode, each in rates.items()},
            "rounds": {mode: [round(one, 1) for one in each] for mode, each in rates.items()},
            "ratio": round(statistics.median(ratios), 2),
        }
        print(f"{clients} clients: {found[str(clients)]}")
    if options.json:
        report = {"machine": describe_machine(), "observations": options.observations, "clients": found}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def draw_photo(seed: int) -> bytes:
    """Draw a photo that no other is like, as JPEG."""
    grain = np.random.default_rng(seed).integers(0, 255, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
    drawn = io.BytesIO()
    Image.fromarray(grain).resize((SIDE, SIDE)).save(drawn, "JPEG", quality=85)
    return drawn.getvalue()


def measure(folder: Path, mode: str, clients: int, photos: Sequence[bytes]) -> float:
    """Return the observations recorded per second."""
    settings = read_settings({"FUNGARIUM_DATA": str(folder / "data"), "FUNGARIUM_MODEL": "descriptor"})
    upgrade(settings.database_url)
    services = make_services(settings)
    database = services.database()
    if mode == "normal":
        event.listen(database.engine, "connect", flush_less)
        database.close()  # connections are made anew
    with database.writing() as session:
        key = issue_key(session, add_person(session, "olga", "Olga", "observer").id, SCOPES_OF["observer"])[0]
    app = create_app(services)

    def record(photo: bytes) -> None:
        form = {"photos": (io.BytesIO(photo), "find.jpg"), "suggest": "false"}
        sent = app.test_client().post("/api/v1/observations", headers={"X-API-Key": key}, data=form)
        if sent.status_code != 201:
            raise SystemExit(f"not recorded: {sent.get_json()}")

    try:
        record(draw_photo(-1 % 2**32))
        started = time.perf_counter()
        with ThreadPoolExecutor(clients) as people:
            list(people.map(record, photos))
        return len(photos) / (time.perf_counter() - started)
    finally:
        app.extensions["serving"].close()
        services.counts.close()
        services.published.close()
        database.close()


def flush_less(connection: Any, _: object) -> None:
    """Flush at checkpoints only."""
    connection.execute("PRAGMA synchronous = NORMAL")


if __name__ == "__main__":
    sys.exit(main())
