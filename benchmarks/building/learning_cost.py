"""Measures the time and memory of calibrating, reporting and verifying for growing numbers of species.

    python -m benchmarks.building.learning_cost --work /tmp/answer_cost/now [--species 15000 300000] \
        [--out benchmarks/results/learning_cost.json]

The collections are those of `benchmarks/search/answer_cost.py`, in a folder for each number of species under `--work`;
one that is not there is built. Commands run in processes of their own, with one thread. What calibration writes is
removed again, so that a collection can be measured twice.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, memory_of
from benchmarks.search.answer_collection import build_collection
from benchmarks.search.answer_cost import ROOT, SPECIES

OFTEN = 0.05  # seconds between two samples of memory
COMMANDS = {
    "calibrate": ("evaluate", "calibrate", "--indexes", "{indexes}"),
    "report": ("evaluate", "report", "--no-ablations", "--indexes", "{indexes}", "--out", "{out}/report.html"),
    "verify": ("index", "verify"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the commands for each number of species, and print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=int, nargs="+", default=[15_000, 30_000, 300_000], metavar="N")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--work", type=Path, required=True, help="folder of the collections; kept")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON; figures of other sizes in it are kept")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"species": {}}
    if options.out and options.out.exists():
        found = json.loads(options.out.read_text(encoding="utf-8"))
    found["machine"] = describe_machine()
    for species in options.species:
        indexes = options.work / str(species)
        built = build_collection(indexes, species, SPECIES.get(species, 3.0), options.seed)
        figures = found["species"].setdefault(str(species), {})
        figures["references"] = built["references"]
        for command in options.commands:
            figures[command] = measure(command, indexes)
            print(f"{species:,} species, {command}: {figures[command]}", flush=True)
        if options.out:
            options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(command: str, indexes: Path) -> dict[str, Any]:
    """Run a command; return seconds, processor seconds, and the peaks of private and of resident memory in MB."""
    before = {path.name for path in (indexes / "snapshots").iterdir()}
    history = (indexes / "HISTORY.jsonl").read_bytes()
    with tempfile.TemporaryDirectory() as out:
        words = [word.format(indexes=indexes, out=out) for word in COMMANDS[command]]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        settings = {"FUNGARIUM_FLORA_INDEXES": str(indexes), "FUNGARIUM_DATA": out}
        started = time.perf_counter()
        run = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-m", "fungarium", *words],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **threads, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        private = resident = 0
        while run.returncode is None:
            held, peak = memory_of(run.pid)
            private, resident = max(private, held), max(resident, peak)
            process, status, used = os.wait4(run.pid, os.WNOHANG)
            if process:
                run.returncode = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(OFTEN)
        assert run.stderr is not None
        errors = run.stderr.read()
    for path in (indexes / "snapshots").iterdir():
        if path.name not in before:
            shutil.rmtree(path)
    (indexes / "HISTORY.jsonl").write_bytes(history)
    if run.returncode:
        raise SystemExit(f"{command} failed:\n{errors[-2000:]}")
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "processorSeconds": round(used.ru_utime + used.ru_stime, 1),
        "privateMB": round(private / 1e6),
        "residentMB": round(resident / 1e6),
        "load": [round(one, 1) for one in os.getloadavg()],
    }


if __name__ == "__main__":
    sys.exit(main())
