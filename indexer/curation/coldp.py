"""ColDP checklists with separate tables Name, Taxon and Synonym, joined line by line.

Each line of Taxon and Synonym becomes one like those of `NameUsage.tsv`. Columns:
https://github.com/CatalogueOfLife/coldp
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from indexer.archives.container import Container
from indexer.archives.descriptor import Field, KeyedRow, Table, read_table, sniff_table
from indexer.archives.shelf import RowShelf
from indexer.archives.terms import plain_term
from indexer.records import RejectedRecord

OF_NAME = (
    "authorship",
    "rank",
    "genericname",
    "infragenericepithet",
    "specificepithet",
    "infraspecificepithet",
    "code",
)
OF_TAXON = ("parentid", "kingdom", "phylum", "class", "order", "family", "genus", "extinct", "remarks")
TERMS = ("id", "scientificname", *OF_NAME, "namestatus", "status", *OF_TAXON)
YES = frozenset({"true", "1", "yes", "t", "y"})


def find_split_tables(archive: Container, by_stem: Mapping[str, str], encoding: str) -> dict[str, Table]:
    """Return the separate tables of names, taxa and synonyms; empty if a list does not have them."""
    if not {"name", "taxon"} <= by_stem.keys():
        return {}
    taxon = sniff_table(archive, by_stem["taxon"], "taxon", encoding)
    if "nameid" not in {plain_term(term) for term in taxon.terms}:
        return {}
    others = [stem for stem in ("name", "synonym") if stem in by_stem]
    return {"taxon": taxon, **{stem: sniff_table(archive, by_stem[stem], stem, encoding) for stem in others}}


def describe_usages(tables: Mapping[str, Table]) -> Table:
    """Describe the table of the rows from `read_usages`."""
    fields = tuple(Field(term, place, "") for place, term in enumerate(TERMS))
    return replace(tables["taxon"], files=tables["name"].files, fields=fields, key=0)


def read_usages(archive: Container, tables: Mapping[str, Table]) -> Iterator[KeyedRow | RejectedRecord]:
    """Yield taxa, then synonyms, each with its name; then names without either, as bare names.

    A line without its name is rejected as `orphan`, one that repeats the id of a name as `duplicate`.
    """
    with RowShelf() as names:
        for row in read_table(archive, tables["name"]):
            if isinstance(row, RejectedRecord):
                yield row
                continue
            cells = by_term(tables["name"], row)
            if not names.put(key := cells.get("id", row.key), cells, row.file, row.line):
                first = names.find(key)
                if first and use_name(first.fields)["scientificname"] != (other := use_name(cells)["scientificname"]):
                    names.mark(key, "+other", other)
                detail = f"{row.file}, line {row.line}: name {row.key} has been there before"
                yield RejectedRecord("duplicate", detail, row.file, row.line)
        for kind in ("taxon", "synonym"):
            for row in read_table(archive, tables[kind]) if kind in tables else ():
                yield (
                    row if isinstance(row, RejectedRecord) else join_name(by_term(tables[kind], row), row, kind, names)
                )
        for bare in names.unused():
            usage = use_name(bare.fields) | {"status": "bare name"}
            yield KeyedRow("", [usage.get(term, "") for term in TERMS], bare.file, bare.line)


def join_name(cells: Mapping[str, str], row: KeyedRow, kind: str, names: RowShelf) -> KeyedRow | RejectedRecord:
    """Join a line of Taxon or Synonym with its name."""
    name = names.find(cells.get("nameid", ""))
    if name is None:
        detail = f"{row.file}, line {row.line}: there is no name {cells.get('nameid', '')!r} in the table of names"
        return RejectedRecord("orphan", detail, row.file, row.line)
    names.use(name.key)
    if other := name.fields.get("+other"):
        known = use_name(name.fields)["scientificname"]
        detail = f"{row.file}, line {row.line}: {name.key} is the key of two names, {known} and {other}"
        return RejectedRecord("ambiguous-identification", detail, row.file, row.line)
    usage = use_name(name.fields)
    if kind == "taxon":
        usage |= {term: cells[term] for term in OF_TAXON if term in cells}
        provisional = cells.get("provisional", "").lower() in YES
        usage["status"] = cells.get("status", "") or ("provisionally accepted" if provisional else "accepted")
    else:
        usage |= {"status": cells.get("status", "") or "synonym", "parentid": cells.get("taxonid", "")}
    key = cells.get("id", "") if kind == "taxon" else ""
    return KeyedRow(key, [usage.get(term, "") for term in TERMS], row.file, row.line)


def use_name(name: Mapping[str, str]) -> dict[str, str]:
    """Return the cells of a Name line in the columns of a usage, where `genus` has another meaning."""
    usage = {term: name[term] for term in OF_NAME if term in name}
    usage["scientificname"] = name.get("scientificname") or name.get("uninomial", "")
    usage["genericname"] = name.get("genus", "")
    usage["namestatus"] = name.get("status", "")
    if not usage["scientificname"] and name.get("specificepithet"):
        below = name.get("infraspecificepithet", "")
        rank = name.get("rank", "").lower()
        mark = {"subspecies": "subsp.", "variety": "var.", "form": "f."}.get(rank, "") if below else ""
        parts = (name.get("genus", ""), name["specificepithet"], mark, below)
        usage["scientificname"] = " ".join(part for part in parts if part)
    return usage


def by_term(table: Table, row: KeyedRow) -> dict[str, str]:
    """Return a row's cells by normalised term: the first non-empty one of repeated terms."""
    cells: dict[str, str] = {}
    for term, cell in zip(table.terms, row.cells, strict=True):
        if cell:
            cells.setdefault(plain_term(term), cell)
    return cells
