"""A table of pictures found on web pages by searching for a species: only those whose page leaves no doubt are kept.

The rules are those by which Pl@ntNet filtered pictures from the web. They need no picture: the same bytes under two
species are found by the import.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from urllib.parse import urlsplit

from indexer.archives.container import open_file
from indexer.archives.csv_file import field_reader, find_table, open_table, photo_finder, read_photos
from indexer.archives.shelf import RowShelf
from indexer.archives.terms import plain_term
from indexer.records import ArchiveSource, Record, RejectedRecord

MOST = 50  # pictures of a species
TITLE, CAPTION, PAGE = ("title", "pagetitle"), ("caption", "alt", "alttext"), ("pagetext", "page", "text", "body")
PAGE_ADDRESS = ("pageurl", "pageaddress", "foundon")
WORDS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture with the texts that it was found beside."""

    record: Record
    title: str
    caption: str
    page: str

    @property
    def species(self) -> str:
        """Genus and epithet of the species that was searched for, in lower case; empty where there are not both."""
        words = self.record.scientific_name.lower().split()
        return " ".join(words[:2]) if len(words) > 1 else ""


def read_found_pictures(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Yield every picture, or why it is left out. The table is read twice: first to see what it names."""
    epithets: dict[str, set[str]] = defaultdict(set)
    with RowShelf() as pictures, RowShelf() as shared:
        for found in read_pictures(source):
            if isinstance(found, FoundPicture) and found.species:
                genus, epithet = found.species.split()
                epithets[genus].add(epithet)
                picture = identify_picture(found.record.photo)
                first = pictures.find(picture)
                if first is None:
                    pictures.put(picture, {"species": found.species})
                elif first.fields["species"] != found.species:
                    shared.put(picture, {})
        kept = Counter[str]()
        for found in read_pictures(source):
            if isinstance(found, RejectedRecord):
                yield found
                continue
            is_shared = shared.find(identify_picture(found.record.photo)) is not None
            fault = find_fault(found, epithets, is_shared=is_shared, kept=kept[found.species])
            if fault is None:
                kept[found.species] += 1
                yield found.record
            else:
                one = found.record
                yield replace(fault, file=one.file, line=one.line, photo=one.photo)


def find_fault(
    found: FoundPicture, epithets: Mapping[str, set[str]], *, is_shared: bool, kept: int
) -> RejectedRecord | None:
    """Return why a picture is left out, or None. `epithets` are those of each genus in the table."""
    if not found.species:
        return RejectedRecord("not-to-species", f"{found.record.scientific_name!r} is no name of a species")
    genus, epithet = found.species.split()
    if not any({genus, epithet} <= words_of(text) for text in (found.title, found.caption)):
        return RejectedRecord("name-not-beside-picture", f"neither title nor caption says {found.species}")
    others = epithets[genus] - {epithet}
    if other := find_other(f"{found.title}\n{found.caption}\n{found.page}", genus, others):
        return RejectedRecord("another-species-on-page", f"the page speaks of {genus} {other} too")
    if is_shared:
        return RejectedRecord("picture-of-two-species", "the same picture was found for another species too")
    if kept >= MOST:
        return RejectedRecord("enough-of-species", f"there are {MOST} pictures of {found.species} already")
    return None


def find_other(text: str, genus: str, epithets: set[str]) -> str:
    """Return an epithet that stands after the genus, written out or as its first letter; empty if there is none."""
    words: list[str] = WORDS.findall(text.lower())
    for first, second in pairwise(words):
        if first in (genus, genus[0]) and second in epithets:
            return second
    return ""


def words_of(text: str) -> set[str]:
    """Return the words of a text in lower case."""
    return set(WORDS.findall(text.lower()))


def identify_picture(address: str) -> str:
    """Return what identifies a picture: its path, or its address without scheme and fragment."""
    parts = urlsplit(address)
    return f"{parts.netloc.lower()}{parts.path}?{parts.query}" if parts.netloc else address


def read_pictures(source: ArchiveSource) -> Iterator[FoundPicture | RejectedRecord]:
    """Yield the pictures of the table with their texts."""
    path = find_table(source.path)
    with open_file(path) as stream:
        header, rows = open_table(stream, path.name, source.encoding)
        read_fields = field_reader(header.cells, source, path.name)
        given = dict(source.columns).get("photo")
        find_photos = photo_finder(header.cells, source.photos or path.parent, given, path.name)
        terms = [plain_term(cell) for cell in header.cells]
        for row in rows:
            if isinstance(row, RejectedRecord):
                yield row
                continue
            title, caption, page, address = (
                text_under(terms, row.cells, names) for names in (TITLE, CAPTION, PAGE, PAGE_ADDRESS)
            )
            for one in read_photos(read_fields(row.cells), find_photos(row.cells), path.name, row.line):
                if isinstance(one, RejectedRecord):
                    yield one
                else:
                    record = replace(one, references=one.references or address)
                    yield FoundPicture(record, title, caption, page)


def text_under(terms: Sequence[str], cells: Sequence[str], names: Sequence[str]) -> str:
    """Return the text under the first of some headers that the table has."""
    return next((str(cells[terms.index(name)]) for name in names if name in terms), "")


def is_found_pictures(headers: Sequence[str]) -> bool:
    """Return whether a table's header has a picture's caption or title and the text of its page."""
    terms = {plain_term(header) for header in headers}
    return PAGE[0] in terms and bool(terms & {*TITLE, *CAPTION})
