"""Measures the memory and time of building snapshots.

    python -m benchmarks.building.build_memory --work FOLDER --results benchmarks/results

For each size, a synthetic catalogue and embedding store are made (benchmarks/search/collection.py), and the commands
are run as usual: build, publish, build again, withdraw a photo, compact. The running process is sampled every
few milliseconds. The figure that counts is its private memory (RssAnon); pages of mapped files (the rest of VmHWM) can
be reclaimed by the system. The slope between the smallest and the largest size is the cost of a reference.

`--program` runs the commands of another copy of the program for comparison.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine, memory_of
from benchmarks.search.collection import Collection, make_collection
from database.session import upgrade
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.models.descriptor import Descriptor

ROOT = Path(__file__).resolve().parents[2]
OFTEN = 0.01  # seconds between two samples of the process
SOME = 50_000  # rows written in one transaction
FLORAS = 6  # floras of the collection, as lists of names; the countries come in addition
COUNTRIES = ("DK", "SE", "DE", "GB")
STAGE = re.compile(r"(?:^|[\r\n])([a-z ]+):\s")  # the start of a progress bar
SPECIES_ID = 100_000  # first taxon id of species, above those of genera
COMMANDS = {
    "embed": ["embed"],  # no photo is left to embed: the cost of finding that out
    "build": ["build"],
    "publish": ["publish", "--no-atlas"],
    "build again": ["build"],
    "withdraw": ["withdraw", "{photo}"],
    "compact": ["compact", "--no-atlas"],
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the collections, run the commands, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=int, nargs="+", default=[300_000, 1_000_000], metavar="N")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--work", type=Path, required=True, help="folder for what is drawn and built; kept")
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=list(COMMANDS), metavar="COMMAND")
    parser.add_argument("--program", type=Path, default=ROOT, help="copy of the program to run (default: this one)")
    parser.add_argument("--results", type=Path, help="folder to write NAME.json and NAME.txt to")
    parser.add_argument("--name", default="build_memory", help="of the results (default: %(default)s)")
    parser.add_argument("--analyse", action="store_true", help="let SQLite count the catalogue's rows beforehand")
    parser.add_argument("--draw", action="store_true", help="draw only, which a process of its own is started for")
    options = parser.parse_args(arguments)
    if options.draw:
        for references in options.references:
            draw(options.work / str(references), references, options.seed)
        return 0
    result: dict[str, Any] = {"machine": describe_machine(), "seed": options.seed, "sizes": {}}
    for references in options.references:
        folder = options.work / str(references)
        if not (folder / "drawn.json").exists():
            drawing = ["--draw", "--references", str(references), "--seed", str(options.seed)]
            subprocess.run(  # noqa: S603 - ours
                [sys.executable, "-m", "benchmarks.building.build_memory", "--work", str(options.work), *drawing],
                cwd=ROOT,
                check=True,
            )
        if options.analyse:
            with closing(sqlite3.connect(folder / "data" / "catalogue.sqlite")) as table, table:
                table.execute("ANALYZE")
        result["sizes"][str(references)] = measure(folder, options.program.resolve(), options.commands)
    result["a_reference"] = slopes(result["sizes"])
    text = describe(result)
    print(text)
    if options.results:
        (options.results / f"{options.name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        (options.results / f"{options.name}.txt").write_text(text + "\n", encoding="utf-8")
    return 0


def draw(folder: Path, references: int, seed: int) -> None:
    """Write a synthetic catalogue and the embeddings of its photos to a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    collection = make_collection(references, seed)
    photos = [hashlib.sha256(f"{seed}/{row}".encode()).hexdigest() for row in range(len(collection.rows))]
    database = folder / "data" / "catalogue.sqlite"
    upgrade(f"sqlite:///{database}")
    with closing(sqlite3.connect(database)) as table, table:
        write_catalogue(table, collection, photos)
    order = sorted(range(len(photos)), key=photos.__getitem__)
    with EmbeddingStore(folder / "data" / "embeddings", Descriptor().card["model"]) as store:
        for start in range(0, len(order), SOME):
            some = order[start : start + SOME]
            store.add([photos[row] for row in some], collection.rows[some].astype(np.float32))
    held = {"references": len(photos), "species": len(collection.world.genus), "photo": photos[len(photos) // 2]}
    (folder / "drawn.json").write_text(json.dumps(held), encoding="utf-8")


def write_catalogue(table: sqlite3.Connection, collection: Collection, photos: Sequence[str]) -> None:
    """Fill the tables as imports do."""
    genera = sorted(set(collection.world.genus.tolist()))
    names = [(SPECIES_ID + n, f"Genus{g} species{n}", 1 + g) for n, g in enumerate(collection.world.genus.tolist())]
    taxa = "INSERT INTO taxa (id, scientific_name, scientific_name_authorship, taxon_rank, parent_id, toxicity) VALUES "
    table.executemany(taxa + "(?, ?, 'Fr.', 'genus', NULL, '')", ((1 + g, f"Genus{g}") for g in genera))
    table.executemany(taxa + "(?, ?, '(Fr.) Quél.', 'species', ?, '')", names)
    table.execute(
        "INSERT INTO datasets (id, title, citation, licence, kind) VALUES ('drawn', 'Drawn', '', 'CC-BY-4.0', 'csv')"
    )

    def observations() -> Iterator[tuple[object, ...]]:
        last = -1
        for row, number in enumerate(collection.observations.tolist()):
            if number != last:
                last = number
                species = SPECIES_ID + int(collection.species[row])
                day = f"20{number % 24:02}-{1 + number % 12:02}-{1 + number % 28:02}"
                where = 45 + (number * 7_919 % 150_000) / 10_000, 5 + (number * 104_729 % 200_000) / 10_000
                yield (1 + number, f"obs-{number:012}", species, day, *where, COUNTRIES[number % 4], observer(number))

    table.executemany(
        "INSERT INTO observations (id, dataset_id, observation_key, taxon_id, event_date, decimal_latitude, "
        "decimal_longitude, country_code, recorded_by, habitat, substrate) "
        "VALUES (?, 'drawn', ?, ?, ?, ?, ?, ?, ?, '', '')",
        observations(),
    )
    table.executemany(
        "INSERT INTO photos (id, sha256, observation_id, dataset_id, record_key, location, byte_count, width, height, "
        'media_format, creator, rights_holder, licence, "references", aspect, position, withdrawn) '
        "VALUES (?, ?, ?, 'drawn', ?, ?, 204800, 800, 600, 'JPEG', ?, '', ?, ?, '', 0, 0)",
        (
            (
                1 + row,
                photo,
                1 + number,
                f"https://photos.example.org/{row}/original.jpg",
                f"store:{photo}",
                observer(number),
                ("CC-BY-4.0", "CC-BY-NC-4.0", "CC0-1.0")[row % 3],
                f"https://observations.example.org/occurrence/{number}",
            )
            for row, (photo, number) in enumerate(zip(photos, collection.observations.tolist(), strict=True))
        ),
    )
    for flora, species in list(collection.floras.items())[:FLORAS]:
        definition = {"checklists": [], "regions": [], "names": [[names[n][1], None] for n in species.tolist()]}
        add_flora(table, flora, "list", definition)
    for code in COUNTRIES[:2]:
        region = (f"iso-{code.lower()}", code, json.dumps([code]))
        table.execute("INSERT INTO regions (id, title, kind, country_codes) VALUES (?, ?, 'iso', ?)", region)
        add_flora(table, code.lower(), "country", {"checklists": [], "regions": [region[0]], "names": []})


def add_flora(table: sqlite3.Connection, flora: str, kind: str, definition: dict[str, Any]) -> None:
    """Define a flora."""
    row = (flora, f"Flora {flora}", kind, json.dumps(definition))
    table.execute("INSERT INTO floras (id, title, kind, definition) VALUES (?, ?, ?, ?)", row)


def observer(observation: int) -> str:
    """Return the observer of an observation: one of some thousand names of realistic length."""
    return f"Observer Number {observation % 4_999:05}"


def give_back(folder: Path) -> None:
    """Restore all withdrawn photos of the catalogue."""
    with closing(sqlite3.connect(folder / "data" / "catalogue.sqlite")) as table, table:
        table.execute("UPDATE photos SET withdrawn = 0 WHERE withdrawn = 1")


def measure(folder: Path, program: Path, commands: Sequence[str]) -> dict[str, Any]:
    """Run the commands on a collection with an empty folder of snapshots, and measure each."""
    drawn = json.loads((folder / "drawn.json").read_text(encoding="utf-8"))
    indexes = folder / "flora_indexes"
    shutil.rmtree(indexes, ignore_errors=True)
    give_back(folder)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FUNGARIUM_")},
        "FUNGARIUM_DATA": str(folder / "data"),
        "FUNGARIUM_FLORA_INDEXES": str(indexes),
        "FUNGARIUM_DATABASE": f"sqlite:///{folder / 'data' / 'catalogue.sqlite'}",
        "FUNGARIUM_MODEL": "descriptor",
    }
    measured: dict[str, Any] = {**drawn, "commands": {}}
    for name in commands:
        words = [word.format(**drawn) for word in COMMANDS[name]]
        measured["commands"][name] = watch([sys.executable, "-m", "fungarium", "index", *words], program, environment)
        print(f"{drawn['references']:,} {name}: {json.dumps(measured['commands'][name])}", file=sys.stderr)
    files = sorted(path for path in indexes.rglob("*") if path.is_file())
    measured["snapshots"] = sorted(path.name for path in (indexes / "snapshots").iterdir())
    measured["disk_bytes"] = sum(path.stat().st_size for path in files)
    give_back(folder)
    return measured


def watch(command: Sequence[str], program: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run a command and measure its time and peak private memory, in total and for each stage named by a progress bar.

    Processor seconds measure the work itself; wall-clock seconds also depend on other load.
    """
    started = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - ours
        command, cwd=program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        spoken = {"stage": "start"}
        said: list[bytes] = []

        def listen() -> None:
            assert process.stderr is not None
            while portion := os.read(process.stderr.fileno(), 65_536):
                said.append(portion)
                if named := STAGE.findall(portion.decode(errors="replace")):
                    spoken["stage"] = named[-1]

        listener = threading.Thread(target=listen)
        listener.start()
        most: dict[str, int] = {}
        seconds: dict[str, float] = {}
        resident, before = 0, 0.0
        while process.poll() is None:
            own, whole = memory_of(process.pid)
            used, stage = max(before, processor_of(process.pid)), spoken["stage"]
            most[stage] = max(most.get(stage, 0), own)
            seconds[stage] = seconds.get(stage, 0.0) + used - before
            resident, before = max(resident, whole), used
            time.sleep(OFTEN)
        listener.join()
        output = process.stdout.read() if process.stdout else b""
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {b''.join(said).decode()[-2000:]}")
    return {
        "says": output.decode().splitlines()[0],
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(before, 1),
        "own_megabytes": round(max(most.values()) / 1e6, 1),
        "resident_megabytes": round(resident / 1e6, 1),
        "stages": {
            stage: {"processor_seconds": round(seconds[stage], 1), "own_megabytes": round(most[stage] / 1e6, 1)}
            for stage in most
        },
    }


def processor_of(process: int) -> float:
    """Return the processor seconds that a process has used."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slopes(sizes: dict[str, Any]) -> dict[str, Any]:
    """Return the cost of an additional reference for each command and stage, from the smallest and the largest size.

    With few references the peak is in a stage of constant memory; the steepest stage determines it for many.
    """
    least, most = (pick(sizes.values(), key=lambda size: int(size["references"])) for pick in (min, max))
    more = most["references"] - least["references"]
    if not more:
        return {}

    def slope(last: dict[str, Any], first: dict[str, Any]) -> dict[str, float]:
        return {
            "bytes": round(1e6 * (last["own_megabytes"] - first["own_megabytes"]) / more, 1),
            "processor_microseconds": round(1e6 * (last["processor_seconds"] - first["processor_seconds"]) / more, 1),
        }

    found = {}
    for name, last in most["commands"].items():
        first = least["commands"][name]
        stages = {
            stage: slope(part, first["stages"][stage])
            for stage, part in last["stages"].items()
            if stage in first["stages"]
        }
        found[name] = {**slope(last, first), "stages": stages}
    return found


def describe(result: dict[str, Any]) -> str:
    """Format the result as a table."""
    machine = result["machine"]
    lines = [
        ", ".join(f"{key} {value}" for key, value in machine.items()),
        f"{'references':>11} {'command':12} {'seconds':>8} {'of the processor':>17} {'own MB':>8} "
        f"{'with mapped files, MB':>22}",
    ]
    for size in result["sizes"].values():
        for name, took in size["commands"].items():
            lines.append(
                f"{size['references']:11,} {name:12} {took['seconds']:8.1f} {took['processor_seconds']:17.1f} "
                f"{took['own_megabytes']:8.0f} {took['resident_megabytes']:22.0f}"
            )
            stages = took["stages"] if len(took["stages"]) > 1 else {}
            lines += [
                f"{'':13} {stage:19} {part['processor_seconds']:17.1f} {part['own_megabytes']:8.0f}"
                for stage, part in stages.items()
            ]
        lines.append(f"{size['references']:11,} on disk: {size['disk_bytes'] / size['references']:,.0f} B a reference")
    for name, costs in result["a_reference"].items():
        for stage, cost in (("", costs), *costs["stages"].items()):
            lines.append(
                f"a reference more costs {name}{stage and f', {stage}'}: {cost['bytes']:,} bytes, "
                f"{cost['processor_microseconds']:,} microseconds of the processor"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
