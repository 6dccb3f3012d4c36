"""Filing what sources say of taxa: each found by key, name or synonym, or made, in batches of a few statements."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from database.models import Base, Synonym, Taxon, VernacularName
from retrieval import domain

SPECIES = "species"
LONGEST_NAME = 255  # characters of a scientific name; longer ones are no names
MOST_VALUES = 500  # of one query
REMEMBERED = 10_000  # entries whose taxon is known without a query
ALIKE = 0.8  # of epithets within a genus: a slip of the pen, not another species
GENDER = re.compile(r"(?:us|a|um|is|e|er|ra|rum|ii|i|ae|orum|arum)$")


@dataclass(frozen=True, slots=True)
class TaxonEntry:
    """What a source says of one taxon, checked."""

    name: str  # accepted, without authorship
    rank: str = SPECIES  # one of retrieval.domain.RANKS
    authorship: str = ""
    gbif_key: int | None = None
    lineage: tuple[tuple[str, str], ...] = ()  # (rank, name) of what it belongs to, those that are known
    lineage_keys: tuple[tuple[str, int], ...] = ()  # (rank, GBIF key) of these
    synonyms: tuple[tuple[str, int | None], ...] = ()  # (name, GBIF key)
    vernacular_names: tuple[tuple[str, str], ...] = ()  # (language or "", name)
    toxicity: str = ""


@dataclass(frozen=True, slots=True)
class KeyConflict:
    """A key that a source gives to one species and the catalogue knows as another's: it is not believed."""

    gbif_key: int
    name: str  # as the source says
    known: str  # whose key it is


@dataclass(frozen=True, slots=True)
class ClaimedName:
    """An accepted species that a source calls a synonym of another. It stays, unless `merge_taxa` is called."""

    name: str
    taxon: int
    accepted: int  # what the source says it belongs to


def names_same_species(one: str, other: str) -> bool:
    """Tell whether two names may be spellings or combinations of one: same epithet but for gender, or nearly so."""
    genus, _, epithet = one.partition(" ")
    other_genus, _, other_epithet = other.partition(" ")
    if not epithet or not other_epithet:
        return one == other
    stem, other_stem = (GENDER.sub("", text.rpartition(" ")[2]) for text in (epithet, other_epithet))
    if stem == other_stem:
        return True
    return genus == other_genus and difflib.SequenceMatcher(None, epithet, other_epithet).ratio() >= ALIKE


class TaxonRegister:
    """Finds the taxa that sources speak of and creates what is missing, each once.

    What is known is only refined, never overwritten: the first source that names a parent, an author or a key keeps its
    word. What it could not file as it was said stands in `conflicts` and `claimed` until it is taken out of there.
    """

    def __init__(self) -> None:
        self._filed: dict[TaxonEntry, int] = {}
        self.conflicts: list[KeyConflict] = []
        self.claimed: list[ClaimedName] = []

    def file(self, session: Session, entry: TaxonEntry) -> int:
        """Return the id of the accepted taxon that `entry` means: by GBIF key, by name, by synonym, or a new one."""
        return self.file_all(session, [entry])[0]

    def file_all(self, session: Session, entries: Sequence[TaxonEntry]) -> list[int]:
        """Return the ids of the accepted taxa that the entries mean, in their order; the first to speak is believed."""
        wanted = [entry for entry in dict.fromkeys(entries) if entry not in self._filed]
        if wanted:
            batch = _Batch(session, wanted)
            filed = [(entry, batch.file(entry)) for entry in wanted]
            batch.write()
            if len(self._filed) > REMEMBERED:
                self._filed.clear()
            known = {entry: taxon.id for entry, taxon in filed}
            self._filed.update(known)
            self.conflicts += batch.conflicts
            self.claimed += [ClaimedName(name, taxon.id, accepted.id) for name, taxon, accepted in batch.claimed]
            return [known[entry] if entry in known else self._filed[entry] for entry in entries]
        return [self._filed[entry] for entry in entries]

    def forget_remarks(self) -> None:
        """Drop what could not be filed as it was said."""
        self.conflicts.clear()
        self.claimed.clear()

    def forget(self) -> None:
        """Look everything up anew: taxa were merged."""
        self._filed.clear()


@dataclass(slots=True, eq=False)
class _Known:
    """A taxon that a batch speaks of; its id is 0 until it is written."""

    id: int
    name: str
    rank: str
    authorship: str = ""
    parent: _Known | None = None
    key: int | None = None
    toxicity: str = ""
    changed: bool = False


@dataclass(slots=True, eq=False)
class _Pointer:
    """A synonym; its id is 0 until it is written."""

    id: int
    name: str
    taxon: _Known
    key: int | None = None
    changed: bool = False


class _Batch:
    """What the catalogue holds of the names and keys of some entries, and what becomes of it."""

    def __init__(self, session: Session, entries: Sequence[TaxonEntry]) -> None:
        session.flush()
        self.session = session
        self.conflicts: list[KeyConflict] = []
        self.claimed: list[tuple[str, _Known, _Known]] = []
        self.by_id: dict[int, _Known] = {}
        self.by_name: dict[tuple[str, str], _Known] = {}
        self.by_key: dict[int, _Known] = {}
        self.synonyms: dict[str, _Pointer] = {}
        self.synonyms_by_key: dict[int, list[_Pointer]] = {}
        self.vernacular: dict[tuple[_Known, str, str], bool] = {}  # -> whether it is new
        self.new: list[_Known] = []
        self.new_pointers: list[_Pointer] = []
        self._parents: dict[tuple[tuple[tuple[str, str], ...], tuple[tuple[str, int], ...]], _Known | None] = {}
        self._load(entries)

    def _load(self, entries: Sequence[TaxonEntry]) -> None:
        names = {entry.name for entry in entries} | {entry.name.partition(" ")[0] for entry in entries}
        names |= {name for entry in entries for _, name in entry.lineage}
        names |= {name for entry in entries for name, _ in entry.synonyms}
        keys = {
            key for entry in entries for key in (entry.gbif_key, *(key for _, key in entry.synonyms)) if key is not None
        }
        keys |= {key for entry in entries for _, key in entry.lineage_keys}
        parents: dict[int, int] = {}
        pointers: dict[int, tuple[str, int, int | None]] = {}
        for wanted, column in ((names, Synonym.scientific_name), (keys, Synonym.gbif_key)):
            for part in _parts(wanted):
                found = select(Synonym.id, Synonym.scientific_name, Synonym.taxon_id, Synonym.gbif_key).where(
                    column.in_(part)
                )
                pointers |= {row[0]: (row[1], row[2], row[3]) for row in self.session.execute(found)}
        for wanted, column in ((names, Taxon.scientific_name), (keys, Taxon.gbif_key)):
            self._load_taxa(column, wanted, parents)
        self._load_taxa(Taxon.id, {taxon for _, taxon, _ in pointers.values()} - self.by_id.keys(), parents)
        self._load_taxa(Taxon.id, set(parents.values()) - self.by_id.keys(), parents)
        for taxon, parent in parents.items():
            self.by_id[taxon].parent = self.by_id.get(parent)
        for number in sorted(pointers):
            name, taxon, key = pointers[number]
            self._add_pointer(_Pointer(number, name, self.by_id[taxon], key))
        named = {
            self.by_name[entry.rank, entry.name].id for entry in entries if (entry.rank, entry.name) in self.by_name
        }
        named |= {pointer.taxon.id for pointer in self.synonyms.values()} | {taxon.id for taxon in self.by_key.values()}
        if any(entry.vernacular_names for entry in entries):
            for part in _parts(named):
                row = VernacularName
                known = select(row.taxon_id, row.language, row.vernacular_name).where(row.taxon_id.in_(part))
                for taxon, language, name in self.session.execute(known):
                    self.vernacular[self.by_id[taxon], language, name] = False

    def _load_taxa(self, column: Any, wanted: Iterable[Any], parents: dict[int, int]) -> None:
        for part in _parts(wanted):
            found = select(
                Taxon.id, Taxon.scientific_name, Taxon.taxon_rank, Taxon.scientific_name_authorship, Taxon.gbif_key,
                Taxon.toxicity, Taxon.parent_id,
            ).where(column.in_(part))  # fmt: skip
            for number, name, rank, authorship, key, toxicity, parent in self.session.execute(found.order_by(Taxon.id)):
                if number not in self.by_id:
                    self._add(_Known(number, name, rank, authorship, None, key, toxicity))
                    if parent is not None:
                        parents[number] = parent

    def _add(self, taxon: _Known) -> _Known:
        if taxon.id:
            self.by_id[taxon.id] = taxon
        self.by_name.setdefault((taxon.rank, taxon.name), taxon)
        if taxon.key is not None:
            self.by_key.setdefault(taxon.key, taxon)
        return taxon

    def _add_pointer(self, pointer: _Pointer) -> None:
        self.synonyms.setdefault(pointer.name, pointer)
        if pointer.key is not None:
            self.synonyms_by_key.setdefault(pointer.key, []).append(pointer)

    def file(self, entry: TaxonEntry) -> _Known:
        """Find the taxon an entry means, or make it, and add what the entry says."""
        taxon = self._find(entry.name, entry.rank, entry.gbif_key)
        if taxon is None:
            parent = self._parent(entry)
            taxon = self._make(entry.name, entry.rank, parent, entry.authorship, self._free_key(entry.gbif_key))
        elif taxon.name == entry.name:
            if entry.authorship and not taxon.authorship:
                taxon.authorship, taxon.changed = entry.authorship, True
            self._give_key(taxon, entry.gbif_key)
            _refine_parent(taxon, self._parent(entry))
        else:  # the entry's lineage belongs to a name that is not accepted: Lepista nebularis does not make Lepista
            self._add_synonym(taxon, entry.name, None)
        if entry.toxicity and not taxon.toxicity:
            taxon.toxicity, taxon.changed = entry.toxicity, True
        for name, key in entry.synonyms:
            self._add_synonym(taxon, name, key)
        for language, name in entry.vernacular_names:
            if name:
                self.vernacular.setdefault((taxon, language[:16], name[:LONGEST_NAME]), True)
        return taxon

    def _find(self, name: str, rank: str, key: int | None) -> _Known | None:
        """Find the accepted taxon of this rank by key, then by name, then as a synonym.

        A key is believed only where the name it belongs to may be the same: some lists carry the keys of other lines.
        """
        if key is not None:
            by_key = self.by_key.get(key)
            known = [(by_key.name, by_key)] if by_key and by_key.rank == rank else []
            known += [
                (pointer.name, pointer.taxon)
                for pointer in self.synonyms_by_key.get(key, ())
                if pointer.taxon.rank == rank
            ]
            for key_name, taxon in known:
                if names_same_species(name, key_name) or self._points_to(name, taxon):
                    return taxon
            if known:
                self.conflicts.append(KeyConflict(key, name, known[0][0]))
        pointer = self.synonyms.get(name)
        return self.by_name.get((rank, name)) or (pointer.taxon if pointer and pointer.taxon.rank == rank else None)

    def _points_to(self, name: str, taxon: _Known) -> bool:
        pointer = self.synonyms.get(name)
        return pointer is not None and pointer.taxon is taxon

    def _parent(self, entry: TaxonEntry) -> _Known | None:
        above = domain.RANKS[: domain.RANKS.index(entry.rank)]
        given = {rank: name for rank, name in entry.lineage if name}
        if entry.rank == SPECIES and "genus" not in given:
            given["genus"] = entry.name.partition(" ")[0]
        lineage = tuple((rank, given[rank]) for rank in above if rank in given)
        known = lineage, entry.lineage_keys
        if known not in self._parents:
            keys = dict(entry.lineage_keys)
            parent: _Known | None = None
            for rank, name in lineage:
                taxon = self._find(name, rank, None)
                if taxon is None:
                    taxon = self._make(name, rank, parent, key=self._free_key(keys.get(rank)))
                else:
                    _refine_parent(taxon, parent)
                    self._give_key(taxon, keys.get(rank) if taxon.name == name else None)
                parent = taxon
            self._parents[known] = parent
        return self._parents[known]

    def _make(
        self, name: str, rank: str, parent: _Known | None, authorship: str = "", key: int | None = None
    ) -> _Known:
        taxon = _Known(0, name, rank, authorship, parent, key)
        self.new.append(taxon)
        return self._add(taxon)

    def _give_key(self, taxon: _Known, key: int | None) -> None:
        """Give a taxon a key, unless it has one, or another taxon has it."""
        if taxon.key is None and (free := self._free_key(key)) is not None:
            taxon.key, taxon.changed = free, True
            self.by_key[free] = taxon

    def _free_key(self, key: int | None) -> int | None:
        """Return `key` unless another taxon has it: some archives give a species the key of its genus."""
        return None if key in self.by_key else key

    def _add_synonym(self, taxon: _Known, name: str, key: int | None) -> None:
        """Let `name` point to `taxon`, unless it is accepted itself or points elsewhere already."""
        if not name or len(name) > LONGEST_NAME:
            return
        accepted = next((found for rank in domain.RANKS if (found := self.by_name.get((rank, name)))), None)
        if (pointer := self.synonyms.get(name)) is not None:
            if pointer.taxon is taxon and pointer.key is None and key is not None:
                pointer.key, pointer.changed = key, True
        elif accepted is None:
            pointer = _Pointer(0, name, taxon, key)
            self.new_pointers.append(pointer)
            self._add_pointer(pointer)
        elif accepted is not taxon and accepted.rank == taxon.rank == SPECIES:
            self.claimed.append((name, accepted, taxon))

    def write(self) -> None:
        """Write what is new and what has changed."""
        waiting = self.new
        while waiting:  # parents first: they have no id before
            ready = [taxon for taxon in waiting if taxon.parent is None or taxon.parent.id]
            ids = self._insert(Taxon, [{
                "scientific_name": taxon.name, "taxon_rank": taxon.rank, "scientific_name_authorship": taxon.authorship,
                "gbif_key": taxon.key, "toxicity": taxon.toxicity,
                "parent_id": taxon.parent.id if taxon.parent else None,
            } for taxon in ready])  # fmt: skip
            for taxon, number in zip(ready, ids, strict=True):
                taxon.id, taxon.changed = number, False
            waiting = [taxon for taxon in waiting if not taxon.id]
        changed = [taxon for taxon in {*self.by_id.values()} if taxon.changed]
        if changed:
            self.session.execute(update(Taxon), [{
                "id": taxon.id, "scientific_name_authorship": taxon.authorship, "gbif_key": taxon.key,
                "toxicity": taxon.toxicity, "parent_id": taxon.parent.id if taxon.parent else None,
            } for taxon in changed])  # fmt: skip
        self._insert(Synonym, [
            {"scientific_name": pointer.name, "taxon_id": pointer.taxon.id, "gbif_key": pointer.key}
            for pointer in self.new_pointers
        ])  # fmt: skip
        keyed = [pointer for pointer in self.synonyms.values() if pointer.changed and pointer.id]
        if keyed:
            self.session.execute(update(Synonym), [{"id": pointer.id, "gbif_key": pointer.key} for pointer in keyed])
        self._insert(VernacularName, [
            {"taxon_id": taxon.id, "language": language, "vernacular_name": name}
            for (taxon, language, name), is_new in self.vernacular.items() if is_new
        ])  # fmt: skip

    def _insert(self, table: type[Base], rows: list[dict[str, object]]) -> list[int]:
        if not rows:
            return []
        numbers = insert(table).returning(table.id, sort_by_parameter_order=True)  # type: ignore[attr-defined]
        return list(self.session.scalars(numbers, rows))


def _refine_parent(taxon: _Known, parent: _Known | None) -> None:
    """Put `taxon` under a nearer parent than it has: a family in place of an order, but not another family."""
    if parent is None or parent is taxon.parent:
        return
    if taxon.parent is None or domain.RANKS.index(parent.rank) > domain.RANKS.index(taxon.parent.rank):
        taxon.parent, taxon.changed = parent, True


def _parts(wanted: Iterable[Any]) -> Iterator[list[Any]]:
    """Split what is looked up into parts that a query can take."""
    values = sorted(wanted)
    for start in range(0, len(values), MOST_VALUES):
        yield values[start : start + MOST_VALUES]
