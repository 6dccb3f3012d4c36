"""The accepted taxa of a snapshot, with their names in other words, in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from retrieval.domain import RANKS, Taxon
from retrieval.errors import UnknownTaxon
from retrieval.segments.readonly import open_readonly

LARGEST = 2**63  # what SQLite takes for a number

TABLES = (
    "CREATE TABLE taxa (id INTEGER PRIMARY KEY, name TEXT NOT NULL, rank TEXT NOT NULL, parent INTEGER, "
    "authorship TEXT NOT NULL, gbif_key INTEGER, toxicity TEXT NOT NULL)",
    "CREATE INDEX taxa_by_name ON taxa (name)",
    "CREATE TABLE synonyms (name TEXT PRIMARY KEY, taxon INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX synonyms_by_taxon ON synonyms (taxon)",
    "CREATE TABLE vernacular_names (taxon INTEGER, language TEXT, name TEXT, PRIMARY KEY (taxon, language, name)) "
    "WITHOUT ROWID",
)


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
        table.executemany("INSERT INTO vernacular_names VALUES (?, ?, ?)", vernacular_names)
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
        query = "SELECT DISTINCT language FROM vernacular_names WHERE language != '' ORDER BY 1"
        return tuple(language for (language,) in self._table.execute(query))

    def find(self, name: str) -> Taxon | None:
        """The taxon of an accepted name or a synonym, written exactly so; where ranks share a name, the narrowest."""
        found = [self.taxon(taxon) for (taxon,) in self._table.execute("SELECT id FROM taxa WHERE name = ?", (name,))]
        if not found:
            query = "SELECT taxon FROM synonyms WHERE name = ?"
            found = [self.taxon(taxon) for (taxon,) in self._table.execute(query, (name,))]
        return max(found, key=lambda taxon: (RANKS.index(taxon.rank), -taxon.id), default=None)

    def starting_with(self, prefix: str) -> set[int]:
        """Taxa one of whose names, accepted, synonym or common, begins so; upper and lower case are the same."""
        pattern = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        query = (
            "SELECT id FROM taxa WHERE name LIKE ?1 ESCAPE '\\' "
            "UNION SELECT taxon FROM synonyms WHERE name LIKE ?1 ESCAPE '\\' "
            "UNION SELECT taxon FROM vernacular_names WHERE name LIKE ?1 ESCAPE '\\'"
        )
        return {taxon for (taxon,) in self._table.execute(query, (pattern,))}

    def describe_many(self, taxa: Collection[int]) -> dict[int, TaxonFacts]:
        """Many taxa in short, in three queries rather than several for each."""
        rows = self._table.execute("SELECT id, name, rank, parent, toxicity FROM taxa")
        nodes = {taxon: (name, rank, parent, toxicity) for taxon, name, rank, parent, toxicity in rows}
        names: dict[int, list[str]] = {}
        query = "SELECT taxon, name FROM vernacular_names ORDER BY taxon, language, name"
        for taxon, name in self._table.execute(query):
            names.setdefault(taxon, []).append(name)

        def family(taxon: int | None) -> str:
            for _ in RANKS:
                if taxon is None or taxon not in nodes:
                    return ""
                name, rank, parent, _toxicity = nodes[taxon]
                if rank == "family":
                    return str(name)
                taxon = parent
            return ""

        return {
            taxon: TaxonFacts(nodes[taxon][0], family(taxon), tuple(names.get(taxon, ())), bool(nodes[taxon][3]))
            for taxon in taxa
        }

    def complete(self, beginning: str, most: int) -> list[Taxon]:
        """Taxa one of whose names begins so, in any letter case: accepted names first, then synonyms and common ones.

        A genus comes before its species; a word within a common name counts as a beginning too.
        """
        escaped = "".join(f"\\{sign}" if sign in "\\%_" else sign for sign in " ".join(beginning.split()))
        if not escaped:
            return []
        query = """
            SELECT id, min(kind) FROM (
                SELECT id, 0 AS kind FROM taxa WHERE name LIKE ?1 ESCAPE '\\'
                UNION ALL SELECT taxon, 1 FROM synonyms WHERE name LIKE ?1 ESCAPE '\\'
                UNION ALL SELECT taxon, 2 FROM vernacular_names
                    WHERE name LIKE ?1 ESCAPE '\\' OR name LIKE ?2 ESCAPE '\\'
            ) JOIN taxa USING (id) GROUP BY id ORDER BY 2, length(name), name, id LIMIT ?3
        """
        found = self._table.execute(query, (f"{escaped}%", f"% {escaped}%", most))
        return [self.taxon(taxon) for taxon, _ in found]

    def close(self) -> None:
        """Let go of the file."""
        self._table.close()
