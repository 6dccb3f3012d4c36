"""Measures the time and memory of importing an archive of many observations, and a checklist of many names.

python -m benchmarks.building.import_cost [--rows 200000] [--names 100000] [--out FILE]

The archive is a Darwin Core Archive like a GBIF download: one photo per occurrence, thousands of species, names with
authorship, synonyms, and some invalid values. Its photos count as already fetched, so that reading, curation and
storing are measured, without network. Each command runs in a separate process.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from database.session import upgrade

SOME = 10_000
SPECIES = 4_000  # as many as a national list of macrofungi
LETTERS = "bcdfglmnprstv"
AUTHORS = (
    "Fr.",
    "(L.) Lam.",
    "(Bull.) P.Kumm.",
    "Quél.",
    "(Pers. : Fr.) Gray",
    "(Schaeff. ex Fr.) Fayod",
    "Peck, 1873",
)
LICENCES = (
    "http://creativecommons.org/licenses/by/4.0/legalcode", "CC_BY_4_0", "https://creativecommons.org/publicdomain/zero/1.0/",
    "http://creativecommons.org/licenses/by-nc/4.0/", "CC BY-SA 4.0", "© A. Author, all rights reserved",
)  # fmt: skip
COUNTRIES = ("DK", "SE", "Germany", "FRANCE", "United Kingdom", "NL", "Czech Republic", "Italia")
PACKAGES = ("gbif-name-parser", "SQLAlchemy", "pycountry")
META = """<archive xmlns="http://rs.tdwg.org/dwc/text/">
 <core rowType="http://rs.tdwg.org/dwc/terms/Occurrence" encoding="UTF-8" fieldsTerminatedBy="\\t"
  linesTerminatedBy="\\n" fieldsEnclosedBy="" ignoreHeaderLines="1"><files><location>occurrence.txt</location></files>
  <id index="0"/>{core}</core>
 <extension rowType="http://rs.gbif.org/terms/1.0/Multimedia" encoding="UTF-8" fieldsTerminatedBy="\\t"
  linesTerminatedBy="\\n" fieldsEnclosedBy="" ignoreHeaderLines="1"><files><location>multimedia.txt</location></files>
  <coreid index="0"/>{media}</extension>
</archive>
"""
CORE = (
    "gbifID", "occurrenceID", "scientificName", "taxonRank", "kingdom", "phylum", "class", "order", "family", "genus",
    "species", "taxonKey", "speciesKey", "eventDate", "year", "month", "day", "decimalLatitude", "decimalLongitude",
    "coordinateUncertaintyInMeters", "countryCode", "recordedBy", "basisOfRecord", "occurrenceStatus", "habitat",
)  # fmt: skip
MEDIA = ("gbifID", "type", "format", "identifier", "references", "creator", "rightsHolder", "license")
LISTED = (
    "taxonID", "scientificName", "scientificNameAuthorship", "taxonRank", "taxonomicStatus", "acceptedNameUsageID",
    "kingdom", "family", "occurrenceStatus", "countryCode",
)  # fmt: skip


def main() -> int:
    """Write, import, and print the measurements."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.building.import_cost", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="occurrences; 0 for none (default: %(default)s)")
    parser.add_argument("--names", type=int, default=100_000, help="lines of the checklist; 0 for none")
    parser.add_argument("--out", type=Path, help="write the figures as JSON too")
    options = parser.parse_args()
    figures: dict[str, Any] = {
        "rows": options.rows,
        "names": options.names,
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
    }
    command = [sys.executable, "-m", "fungarium", "collection"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if options.rows:
            write_archive(folder / "archive", options.rows)
            remember_photos(folder / "data", options.rows)
            one = [*command, "import", "dwca", str(folder / "archive"), "--dataset", "drawn", "--offline"]
            figures["archive"] = measure(one, folder / "data")
        if options.names:
            write_checklist(folder / "checklist.csv", options.names)
            one = [*command, "checklist", "import", str(folder / "checklist.csv"), "--id", "drawn"]
            figures["checklist"] = measure(one, folder / "lists")
    print(json.dumps(figures, indent=1))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(command: Sequence[str], data: Path) -> dict[str, Any]:
    """Run a command; returns its seconds, processor seconds, peak memory and output."""
    started = time.monotonic()
    environment = os.environ | {"FUNGARIUM_DATA": str(data), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(  # noqa: S603 - our own command
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as one:
        printed = one.stdout.read() if one.stdout else ""
        _, status, used = os.wait4(one.pid, 0)
        one.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    if one.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {one.returncode}: {printed[-2000:]}")
    return {
        "seconds": round(seconds, 1),
        "processorSeconds": round(used.ru_utime + used.ru_stime, 1),
        "peakMegabytes": round(used.ru_maxrss / 1024),
        "printed": [line for line in printed.splitlines() if str(data) not in line],
    }


def write_archive(folder: Path, rows: int) -> None:
    """Write a Darwin Core Archive of `rows` occurrences with one photo each."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = [
        "".join(
            f'<field index="{at}" term="http://rs.tdwg.org/dwc/terms/{term}"/>' for at, term in enumerate(terms) if at
        )
        for terms in (CORE, MEDIA)
    ]
    fields[1] = fields[1].replace("rs.tdwg.org/dwc/terms/", "purl.org/dc/terms/")
    (folder / "meta.xml").write_text(META.format(core=fields[0], media=fields[1]), encoding="utf-8")
    write_rows(folder / "occurrence.txt", CORE, (occurrence(row) for row in range(rows)))
    write_rows(folder / "multimedia.txt", MEDIA, (medium(row) for row in range(rows)))


def write_rows(path: Path, header: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    """Write a tab-separated table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("\t".join(header) + "\n")
        file.writelines("\t".join(map(str, row)) + "\n" for row in rows)


def occurrence(row: int) -> Sequence[object]:
    """Return an occurrence as in GBIF's downloads; some per cent have a doubt, an invalid date or country."""
    species = row * 7_919 % SPECIES
    genus, epithet = f"{word(species // 8).capitalize()}us", f"{word(species + 500)}a"
    name = f"{genus} {epithet}"
    given = f"{word(species).capitalize()}a {epithet}" if species % 5 == 0 else name  # a synonym
    day = f"{2000 + row % 25}-{1 + row % 12:02}-{1 + row % 28:02}"
    written = (day, f"{day}T00:00:00", f"{day}T14:3{row % 10}:00Z", "autumn" if row % 100 == 3 else day)[row % 4]
    return (
        1_000_000_000 + row, f"https://finds.example.org/{row}", f"{given} {AUTHORS[species % len(AUTHORS)]}",
        "SPECIES", "Fungi", "Basidiomycota", "Agaricomycetes", "Agaricales",
        f"{word(species // 200).capitalize()}aceae", genus,
        name, 2_000_000 + species + (100_000 if given != name else 0), 2_000_000 + species, written, *day.split("-"),
        f"{45 + row * 7_919 % 150_000 / 10_000:.4f}", f"{5 + row * 104_729 % 200_000 / 10_000:.4f}",
        ("", "25", "1000.0", "unknown")[row % 4 if row % 50 else 3],
        "Atlantis" if row % 200 == 0 else COUNTRIES[row % len(COUNTRIES)],
        f"Observer Number {row % 4_999:05}", "HUMAN_OBSERVATION", "PRESENT", ("", "beech wood", "mown lawn")[row % 3],
    )  # fmt: skip


def medium(row: int) -> Sequence[object]:
    """Return the photo of an occurrence; one in six has an unacceptable licence."""
    author = f"Observer Number {row % 4_999:05}"
    page = f"https://finds.example.org/{row}"
    licence = LICENCES[row * 31 % len(LICENCES)]
    return (1_000_000_000 + row, "StillImage", "image/jpeg", address(row), page, author, author, licence)


def write_checklist(path: Path, names: int) -> None:
    """Write a national list: a third are synonyms of the previous line, some are absent or doubtful."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(LISTED)
        for row in range(names):
            synonym = row % 3 == 2
            name = f"{word(row // 30 + 7).capitalize()}us {word(row)}{'ensis' if synonym else 'oides'}"
            status = ("present", "rare", "absent", "doubtful")[row % 20 if row % 20 < 4 else 0]
            table.writerow((
                f"t{row}", name, AUTHORS[row % len(AUTHORS)], "species", "synonym" if synonym else "accepted",
                f"t{row - 1}" if synonym else "", "Fungi", f"{word(row // 900).capitalize()}aceae", status, "DK",
            ))  # fmt: skip


def word(number: int) -> str:
    """Return a word of syllables that is unique to the number."""
    syllables = ""
    while number or not syllables:
        number, letter = divmod(number, len(LETTERS) * 5)
        syllables += LETTERS[letter // 5] + "aeiou"[letter % 5]
    return syllables + "ri"


def address(row: int) -> str:
    """Return the URL that a photo was fetched from."""
    return f"https://photos.example.org/{row}/original.jpg"


def remember_photos(data: Path, rows: int) -> None:
    """Mark all photos as fetched in a new catalogue."""
    data.mkdir(parents=True, exist_ok=True)
    database = data / "fungarium.sqlite"
    upgrade(f"sqlite:///{database}")
    with closing(sqlite3.connect(database)) as catalogue, catalogue:
        catalogue.executemany(
            "INSERT INTO inspected_files (address, location, sha256, reason, detail, byte_count, width, height, "
            "media_format) VALUES (?, ?, ?, '', '', 204800, 800, 600, 'JPEG')",
            ((address(row), f"photos/{row}", hashlib.sha256(str(row).encode()).hexdigest()) for row in range(rows)),
        )


if __name__ == "__main__":
    raise SystemExit(main())
