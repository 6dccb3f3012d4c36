"""The accepted taxa of a snapshot, with their names in other words, in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import RANKS, Taxon
from retrieval.errors import UnknownTaxon
from retrieval.segments.readonly import open_readonly

LARGEST = 2**63  # what SQLite takes for a number
LAST = "\U0010ffff"  # after every sign that a name may go on with
BEGINS = "name >= ?1 COLLATE NOCASE AND name < ?2 COLLATE NOCASE"
ENDS = "ending >= ?1 COLLATE NOCASE AND ending < ?2 COLLATE NOCASE"
TOGETHER = 1_000  # taxa that one query asks for

TABLES = (
    "CREATE TABLE taxa (id INTEGER PRIMARY KEY, name TEXT NOT NULL, rank TEXT NOT NULL, parent INTEGER, "
    "authorship TEXT NOT NULL, gbif_key INTEGER, toxicity TEXT NOT NULL)",
    "CREATE INDEX taxa_by_name ON taxa (name)",
    "CREATE INDEX taxa_by_parent ON taxa (parent, name)",
    "CREATE INDEX taxa_by_gbif_key ON taxa (gbif_key) WHERE gbif_key IS NOT NULL",
    "CREATE TABLE synonyms (name TEXT PRIMARY KEY, taxon INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX synonyms_by_taxon ON synonyms (taxon)",
    "CREATE TABLE vernacular_names (taxon INTEGER, language TEXT, name TEXT, PRIMARY KEY (taxon, language, name)) "
    "WITHOUT ROWID",
    "CREATE INDEX taxa_by_beginning ON taxa (name COLLATE NOCASE)",
    "CREATE INDEX synonyms_by_beginning ON synonyms (name COLLATE NOCASE)",
    "CREATE INDEX vernacular_names_by_beginning ON vernacular_names (name COLLATE NOCASE)",
    "CREATE INDEX vernacular_names_by_language ON vernacular_names (language)",
    "CREATE TABLE vernacular_endings (ending TEXT COLLATE NOCASE, taxon INTEGER, PRIMARY KEY (ending, taxon)) "
    "WITHOUT ROWID",
)
"""`vernacular_endings` holds what follows each blank of a common name: a word within it is found by its beginning.

Snapshots from before there were such indexes are searched without them, row by row.
"""


def write_taxonomy(
    path: Path,
    taxa: Iterable[tuple[Taxon, str]],
    synonyms: Iterable[tuple[str, int]],
    vernacular_names: Iterable[tuple[int, str, str]],
) -> None:
    """Write (taxon, toxicity), (synonym, taxon id) and (taxon id, language, name), each in a settled order."""
    table = sqlite3.connect(path, isolation_level=None)
    try:
        table.execute("PRAGMA journal_mode = OFF")
        table.execute("BEGIN")
        for statement in TABLES:
            table.execute(statement)
        table.executemany(
            "INSERT INTO taxa VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((t.id, t.name, t.rank, t.parent, t.authorship, t.gbif_key, toxicity) for t, toxicity in taxa),
        )
        table.executemany("INSERT INTO synonyms VALUES (?, ?)", synonyms)
        common = list(vernacular_names)
        table.executemany("INSERT INTO vernacular_names VALUES (?, ?, ?)", common)
        table.executemany(
            "INSERT OR IGNORE INTO vernacular_endings VALUES (?, ?)",
            ((name[place + 1 :], taxon) for taxon, _, name in common for place, sign in enumerate(name) if sign == " "),
        )
        table.execute("COMMIT")
    finally:
        table.close()


@dataclass(frozen=True, slots=True)
class TaxonFacts:
    """A taxon in short, for long lists."""

    name: str
    family: str  # empty where unknown
    vernacular_names: tuple[str, ...]
    toxic: bool


class Taxonomy:
    """An open taxonomy. Look-ups are remembered: an answer asks for the same genera again and again."""

    def __init__(self, path: Path) -> None:
        self._table = open_readonly(path)
        self.taxon = lru_cache(maxsize=65_536)(self._taxon)
        self.lineage = lru_cache(maxsize=65_536)(self._lineage)
        self.languages = lru_cache(maxsize=1)(self._languages)
        tables = "SELECT count(*) FROM sqlite_master WHERE name = 'vernacular_endings'"
        self._has_endings = bool(self._table.execute(tables)[0][0])

    def _taxon(self, taxon: int) -> Taxon:
        """The taxon of an id; raises UnknownTaxon."""
        if not -LARGEST <= taxon < LARGEST:
            raise UnknownTaxon(f"there is no taxon {str(taxon)[:40]} in this snapshot")
        found = self._table.execute(
            "SELECT id, name, rank, parent, authorship, gbif_key FROM taxa WHERE id = ?", (taxon,)
        )
        if not found:
            raise UnknownTaxon(f"there is no taxon {taxon} in this snapshot")
        return Taxon(*found[0])

    def _lineage(self, taxon: int) -> tuple[Taxon, ...]:
        """The taxon and all above it, the widest first."""
        line = [self.taxon(taxon)]
        while line[0].parent is not None and len(line) <= len(RANKS):
            line.insert(0, self.taxon(line[0].parent))
        return tuple(line)

    def nodes(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """All taxa as columns: ids, ascending; places of their ranks in RANKS, -1 for others; parents, -1 for roots."""
        places = " ".join(f"WHEN '{rank}' THEN {place}" for place, rank in enumerate(RANKS))
        query = f"SELECT id, CASE rank {places} ELSE -1 END, ifnull(parent, -1) FROM taxa ORDER BY id"  # noqa: S608 - ours
        rows = np.array(self._table.execute(query), dtype=np.int64).reshape(-1, 3)
        return rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy()

    def ancestor(self, taxon: int, rank: str) -> Taxon | None:
        """The taxon's ancestor (or itself) at a rank, where it has one."""
        return next((node for node in self.lineage(taxon) if node.rank == rank), None)

    def toxicity(self, taxon: int) -> str:
        """What a source says of the taxon's poison, in its words; empty where nobody says anything."""
        found = self._table.execute("SELECT toxicity FROM taxa WHERE id = ?", (taxon,))
        return str(found[0][0]) if found else ""

    def synonyms(self, taxon: int) -> list[str]:
        """Other scientific names of the taxon, in alphabetical order."""
        return [
            name for (name,) in self._table.execute("SELECT name FROM synonyms WHERE taxon = ? ORDER BY 1", (taxon,))
        ]

    def vernacular_names(self, taxon: int) -> list[tuple[str, str]]:
        """(language, name) of the taxon's common names."""
        query = "SELECT language, name FROM vernacular_names WHERE taxon = ? ORDER BY 1, 2"
        return [(language, name) for language, name in self._table.execute(query, (taxon,))]

    def _languages(self) -> tuple[str, ...]:
        """The languages that there are common names in, in alphabetical order."""
        found: list[str] = []
        query = "SELECT min(language) FROM vernacular_names WHERE language > ?"  # DISTINCT would read every name
        while (language := self._table.execute(query, (found[-1] if found else "",))[0][0]) is not None:
            found.append(language)
        return tuple(found)

    def find(self, name: str) -> Taxon | None:
        """The taxon of an accepted name or a synonym, written exactly so; where ranks share a name, the narrowest."""
        found = [self.taxon(taxon) for (taxon,) in self._table.execute("SELECT id FROM taxa WHERE name = ?", (name,))]
        if not found:
            query = "SELECT taxon FROM synonyms WHERE name = ?"
            found = [self.taxon(taxon) for (taxon,) in self._table.execute(query, (name,))]
        return max(found, key=lambda taxon: (RANKS.index(taxon.rank), -taxon.id), default=None)

    def find_key(self, gbif_key: int) -> Taxon | None:
        """The taxon of a key at GBIF."""
        if not -LARGEST <= gbif_key < LARGEST:
            return None
        found = self._table.execute("SELECT id FROM taxa WHERE gbif_key = ? ORDER BY id LIMIT 1", (gbif_key,))
        return self.taxon(found[0][0]) if found else None

    def children(self, taxon: int) -> list[Taxon]:
        """The taxa right below a taxon, by name."""
        found = self._table.execute("SELECT id FROM taxa WHERE parent = ? ORDER BY name, id", (taxon,))
        return [self.taxon(child) for (child,) in found]

    def starting_with(self, prefix: str) -> NDArray[np.int64]:
        """Taxa one of whose names, accepted, synonym or common, begins so; upper and lower case are the same.

        Ids, ascending.
        """
        query = f"""
            SELECT id FROM taxa WHERE {BEGINS}
            UNION ALL SELECT taxon FROM synonyms WHERE {BEGINS}
            UNION ALL SELECT taxon FROM vernacular_names WHERE {BEGINS}
        """  # noqa: S608 - ours
        return as_ids(self._table.execute(query, (prefix, prefix + LAST)))

    def containing(self, words: str, rank: str, *, common: bool = False) -> NDArray[np.int64]:
        """Taxa of a rank whose accepted name, or one of whose `common` names, has the words in it, in any letter case.

        Ids, ascending. SQLite knows the cases of ASCII alone: other letters may be any there, and are compared here.
        """
        plain = words.lower()
        pattern = "".join(f"\\{sign}" if sign in "\\%_" else sign if sign.isascii() else "_" for sign in plain)
        queries = ["SELECT id, name FROM taxa WHERE rank = ?1 AND name LIKE ?2 ESCAPE '\\'"]
        if common:
            queries.append(
                "SELECT id, v.name FROM vernacular_names AS v CROSS JOIN taxa ON id = taxon "
                "WHERE rank = ?1 AND v.name LIKE ?2 ESCAPE '\\'"
            )
        found = [self._table.execute(query, (rank, f"%{pattern}%")) for query in queries]
        return as_ids([(taxon,) for rows in found for taxon, name in rows if plain in name.lower()])

    def named_alike(self, rank: str, beginning: str, ending: str) -> list[tuple[int, str]]:
        """(id, name) of the taxa of a rank whose name begins so, or whose last word is `ending`; letter case counts."""
        query = "SELECT id, name FROM taxa WHERE rank = ?1 AND (substr(name, 1, ?3) = ?2 OR name LIKE ?4 ESCAPE '\\')"
        escaped = "".join(f"\\{sign}" if sign in "\\%_" else sign for sign in ending)
        rows = self._table.execute(query, (rank, beginning, len(beginning), f"%{escaped}"))
        return [
            (taxon, name)
            for taxon, name in rows
            if name[: len(beginning)] == beginning or name.rpartition(" ")[2] == ending
        ]

    def describe_many(self, taxa: Collection[int]) -> dict[int, TaxonFacts]:
        """Many taxa in short, in a few queries rather than several for each; raises KeyError for an unknown one."""
        names: dict[int, list[str]] = {}
        query = "SELECT taxon, name FROM vernacular_names WHERE taxon IN ({}) ORDER BY taxon, language, name"
        for taxon, name in self._of_many(query, taxa):
            names.setdefault(taxon, []).append(name)
        nodes: dict[int, tuple[str, str, int | None, str]] = {}
        wanted: Collection[int] = taxa
        while wanted:  # all climb together, a parent at a time
            query = "SELECT id, name, rank, parent, toxicity FROM taxa WHERE id IN ({})"
            nodes |= {row[0]: row[1:] for row in self._of_many(query, wanted)}
            above = {nodes[taxon][2] for taxon in wanted if taxon in nodes}
            wanted = {parent for parent in above if parent is not None} - nodes.keys()

        def family(taxon: int | None) -> str:
            for _ in RANKS:
                if taxon is None or taxon not in nodes:
                    break
                name, rank, parent, _toxicity = nodes[taxon]
                if rank == "family":
                    return name
                taxon = parent
            return ""

        return {
            taxon: TaxonFacts(nodes[taxon][0], family(taxon), tuple(names.get(taxon, ())), bool(nodes[taxon][3]))
            for taxon in taxa
        }

    def _of_many(self, query: str, taxa: Collection[int]) -> Iterator[tuple[Any, ...]]:
        """The rows of a query for many taxa, which has {} where their ids go; some at a time, ascending."""
        ordered = sorted(int(taxon) for taxon in taxa)
        for start in range(0, len(ordered), TOGETHER):
            yield from self._table.execute(query.format(", ".join(map(str, ordered[start : start + TOGETHER]))))

    def complete(self, beginning: str, most: int) -> list[Taxon]:
        """Taxa one of whose names begins so, in any letter case: accepted names first, then synonyms and common ones.

        A genus comes before its species; a word within a common name counts as a beginning too.
        """
        plain = " ".join(beginning.split())
        if not plain:
            return []
        words = f"SELECT taxon FROM vernacular_endings WHERE {ENDS}"  # noqa: S608 - ours
        if not self._has_endings:
            words = "SELECT taxon FROM vernacular_names WHERE instr(lower(name), ' ' || lower(?1))"
        kinds = (
            BEGINS,  # all of it stands in the index of names
            f"id IN (SELECT taxon FROM synonyms WHERE {BEGINS})",  # noqa: S608 - ours
            f"id IN (SELECT taxon FROM vernacular_names WHERE {BEGINS} UNION ALL {words})",  # noqa: S608 - ours
        )
        found: dict[int, None] = {}
        for kind in kinds:  # the next only where those before are too few
            wanted = f"{most} + {len(found)}"
            query = f"SELECT id FROM taxa WHERE {kind} ORDER BY length(name), name, id LIMIT {wanted}"  # noqa: S608 - ours
            found |= dict.fromkeys(taxon for (taxon,) in self._table.execute(query, (plain, plain + LAST)))
            if len(found) >= most:
                break
        return [self.taxon(taxon) for taxon in list(found)[:most]]

    def names(self) -> dict[int, str]:
        """The accepted names of all taxa, by their ids."""
        return dict(self._table.execute("SELECT id, name FROM taxa"))

    def by_name(self) -> NDArray[np.int64]:
        """Ids of all taxa in the order of their names, then of their ids."""
        return np.array([taxon for (taxon,) in self._table.execute("SELECT id FROM taxa ORDER BY name, id")], np.int64)

    def close(self) -> None:
        """Let go of the file."""
        self._table.close()


def as_ids(rows: Iterable[tuple[int]]) -> NDArray[np.int64]:
    """Rows of one taxon id each, as an array of them, ascending, each once."""
    return np.unique(np.fromiter((taxon for (taxon,) in rows), dtype=np.int64))
