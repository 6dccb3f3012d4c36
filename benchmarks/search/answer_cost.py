"""Measures the cost of an answer from embeddings for growing numbers of species: time and memory, by part.

python -m benchmarks.search.answer_cost --work /tmp/answer_cost --results benchmarks/results

For each number of species, a collection with a long tail of references is drawn, built, calibrated (with given, not
learned parameters) and published, then queried with observations of one and of three photos: in the world, in floras of
30 % and 2 % of the species, and in an ad-hoc list. Each number of species has processes of its own; `--against` names
another checkout to be queried alternately, with its own build.

Times are of one thread; `cpu` is processor time, `extra` the peak of memory allocated during one answer. Opening is
timed in a new process, with the private memory that it takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe_machine
from benchmarks.search.answer_collection import AD_HOC, build_collection, draw_queries

ROOT = Path(__file__).resolve().parents[2]
SPECIES = {1_500: 7.0, 15_000: 3.0, 60_000: 3.0, 300_000: 2.0}
"""Numbers of species, with the mean number of references of each."""
FLORAS = ("world", "part-30", "part-02", AD_HOC)
VIEWS = (1, 3)
ASKED = 24  # observations per figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and query in separate processes; print and store the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=int, nargs="+", default=list(SPECIES), metavar="N")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True, help="folder for what is built; kept")
    parser.add_argument("--against", type=Path, help="another checkout, asked in turn with this one")
    parser.add_argument("--results", type=Path, help="folder to write answer_cost.json to")
    parser.add_argument("--do", choices=("build", "ask", "open"), help="one step, in this process")
    options = parser.parse_args(arguments)
    if options.do:
        (species,) = options.species
        step = {"build": build_collection, "ask": ask, "open": open_only}[options.do]
        print(json.dumps(step(options.work, species, SPECIES.get(species, 3.0), options.seed)))
        return 0
    programs = {"now": ROOT} | ({"before": options.against.resolve()} if options.against else {})
    result: dict[str, Any] = {"machine": describe_machine(), "seed": options.seed, "species": {}}
    for species in options.species:
        sizes = result["species"].setdefault(str(species), {})
        for name, program in programs.items():
            run = runner(program, options.work / name / str(species), species, options.seed)
            sizes[name] = {"build": run("build"), "open": run("open"), "rounds": []}
        for _ in range(options.rounds):
            for name, program in programs.items():
                run = runner(program, options.work / name / str(species), species, options.seed)
                sizes[name]["rounds"].append(run("ask"))
        for name in programs:
            print(describe(species, name, sizes[name]), flush=True)
    if options.results:
        kept = options.results / "answer_cost.json"
        kept.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def runner(program: Path, work: Path, species: int, seed: int) -> Callable[[str], dict[str, Any]]:
    """Return a function that runs one step in a checkout."""

    def run(step: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "benchmarks.search.answer_cost", "--do", step, "--work", str(work)]
        command += ["--species", str(species), "--seed", str(seed)]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        done = subprocess.run(  # noqa: S603 - ours
            command, cwd=program, env={"PATH": "/usr/bin:/bin", **threads}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{step} of {species} species failed in {program}:\n{done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


def ask(work: Path, species: int, references: float, seed: int) -> dict[str, Any]:
    """Return milliseconds, processor milliseconds and extra bytes of answers, by flora and number of photos."""
    from retrieval.answers.identify import identify_embeddings
    from retrieval.snapshots.snapshot import open_snapshot

    snapshot = open_snapshot(work)
    found: dict[str, Any] = {}
    for views in VIEWS:
        queries = draw_queries(species, seed, ASKED, views)
        for flora in FLORAS:

            def answer(photos: NDArray[np.float32], flora: str = flora) -> object:
                return identify_embeddings(photos, snapshot, flora=flora, voting=snapshot.voting, candidates=10)

            answer(queries[0])
            times, processor = [], []
            for photos in queries[1:]:
                started, spent = time.perf_counter(), time.thread_time()
                answer(photos)
                processor.append(1e3 * (time.thread_time() - spent))
                times.append(1e3 * (time.perf_counter() - started))
            tracemalloc.start()
            answer(queries[0])
            _, extra = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            searching = time_search(snapshot, queries, flora)
            found[f"{flora}, {views}"] = {
                "ms": float(np.median(times)),
                "cpu": float(np.median(processor)),
                "extra": extra,
                "search_cpu": searching,
            }
        spent = time.thread_time()
        for photos in queries:
            snapshot.compare_prototypes(photos)
        found[f"prototypes, {views}"] = {"cpu": 1e3 * (time.thread_time() - spent) / len(queries)}
    return found


def time_search(snapshot: Any, queries: NDArray[np.float32], flora: str) -> float:
    """Return processor milliseconds of the two searches in an answer: of the flora and of the world."""
    asked = [snapshot.flora(flora)] + ([snapshot.flora("world")] if flora != "world" else [])
    spent = []
    for photos in queries:
        started = time.thread_time()
        for each in asked:
            each.search(photos, snapshot.voting.neighbours)
        spent.append(1e3 * (time.thread_time() - started))
    return float(np.median(spent))


def open_only(work: Path, species: int, references: float, seed: int) -> dict[str, float]:
    """Return milliseconds to open the snapshot, and private bytes before and after a first answer."""
    from retrieval.answers.identify import identify_embeddings
    from retrieval.snapshots.snapshot import open_snapshot

    (photos,) = draw_queries(species, seed, 1, 1)
    held = private()
    started = time.perf_counter()
    snapshot = open_snapshot(work)
    opened, after = time.perf_counter(), private()
    identify_embeddings(photos, snapshot, flora="world", voting=snapshot.voting, candidates=10)
    return {
        "ms": 1e3 * (opened - started),
        "first_answer_ms": 1e3 * (time.perf_counter() - opened),
        "private": after - held,
        "private_after_answer": private() - held,
    }


def private() -> int:
    """Return the private memory of this process in bytes."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024


def describe(species: int, name: str, figures: dict[str, Any]) -> str:
    """Format the figures as lines; medians over the rounds."""
    built, opened = figures["build"], figures["open"]
    memory = f"{built['cpu_s']:.1f} s of processor, {built['private_mb']:.0f} MB" if "cpu_s" in built else ""
    lines = [
        f"{species:,} species, {built['references']:,.0f} references, {name}: built in {built['build_s']:.1f} s, "
        f"published in {built['publish_s']:.1f} s, {memory}; opened in {opened['ms']:.0f} ms with "
        f"{opened['private'] / 1e6:.0f} MB, {opened['private_after_answer'] / 1e6:.0f} MB after an answer"
    ]
    for key in figures["rounds"][0]:
        part = {
            value: float(np.median([r[key][value] for r in figures["rounds"]])) for value in figures["rounds"][0][key]
        }
        lines.append(f"  {key:12} " + "  ".join(f"{value} {number:,.2f}" for value, number in part.items()))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
