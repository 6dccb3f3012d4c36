"""The descriptors of a Darwin Core Archive: meta.xml (tables and terms) and eml.xml (dataset metadata)."""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from database.exporting.rows import LICENCES, TABLES, TableForm

TEXT = "http://rs.tdwg.org/dwc/text/"
EML = "https://eml.ecoinformatics.org/eml-2.2.0"
TITLES = {
    "CC0-1.0": "Public Domain (CC0 1.0)",
    "CC-BY-4.0": "Creative Commons Attribution (CC BY) 4.0 License",
    "CC-BY-NC-4.0": "Creative Commons Attribution Non Commercial (CC BY-NC) 4.0 License",
    "CC-BY-SA-4.0": "Creative Commons Attribution ShareAlike (CC BY-SA) 4.0 License",
}


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """Metadata of the whole dataset."""

    title: str
    organisation: str
    email: str = ""
    description: str = ""
    page: str = ""


def write_meta() -> bytes:
    """Make meta.xml, the archive's descriptor."""
    root = ET.Element("archive", {"xmlns": TEXT, "metadata": "eml.xml"})
    for place, table in enumerate(TABLES):
        describe_table(root, table, is_core=place == 0)
    return finish(root)


def describe_table(root: ET.Element, table: TableForm, *, is_core: bool) -> None:
    """Add the element of a core or extension table."""
    form = {
        "encoding": "UTF-8",
        "fieldsTerminatedBy": "\\t",
        "linesTerminatedBy": "\\n",
        "fieldsEnclosedBy": "",
        "ignoreHeaderLines": "1",
        "rowType": table.row_type,
    }
    element = ET.SubElement(root, "core" if is_core else "extension", form)
    ET.SubElement(ET.SubElement(element, "files"), "location").text = table.file
    ET.SubElement(element, "id" if is_core else "coreid", {"index": "0"})
    for index, term in enumerate(table.terms, start=1):
        ET.SubElement(element, "field", {"index": str(index), "term": term})


def write_eml(card: DatasetCard, licence: str, published: date, days: Sequence[date]) -> bytes:
    """Make eml.xml, the dataset's metadata. `published` is the day of its latest change, so that bytes are stable."""
    identity = uuid.uuid5(uuid.NAMESPACE_URL, card.page or f"fungarium:{card.organisation}:{card.title}")
    root = ET.Element(
        "eml:eml",
        {
            "xmlns:eml": EML,
            "packageId": f"{identity}/{published.isoformat()}",
            "system": "http://gbif.org",
            "scope": "system",
            "xml:lang": "eng",
        },
    )
    dataset = ET.SubElement(root, "dataset")
    ET.SubElement(dataset, "alternateIdentifier").text = str(identity)
    ET.SubElement(dataset, "title").text = card.title
    add_party(dataset, "creator", card)
    add_party(dataset, "metadataProvider", card)
    ET.SubElement(dataset, "pubDate").text = published.isoformat()
    ET.SubElement(dataset, "language").text = "eng"
    text = card.description or (
        "Observations of fungi with photos, approved by the community of their observers or by experts. "
        "Places of some are generalised to a grid cell; the records say so."
    )
    add_para(dataset, "abstract", text)
    rights = ET.SubElement(ET.SubElement(dataset, "intellectualRights"), "para")
    rights.text = "This work is licensed under a "
    link = ET.SubElement(rights, "ulink", {"url": LICENCES[licence]})
    ET.SubElement(link, "citetitle").text = TITLES[licence]
    link.tail = ". Each record and each photo states its own."
    if days:
        coverage = ET.SubElement(ET.SubElement(dataset, "coverage"), "temporalCoverage")
        between = ET.SubElement(coverage, "rangeOfDates")
        for name, day in (("beginDate", min(days)), ("endDate", max(days))):
            ET.SubElement(ET.SubElement(between, name), "calendarDate").text = day.isoformat()
    add_party(dataset, "contact", card)
    return finish(root)


def add_party(dataset: ET.Element, role: str, card: DatasetCard) -> None:
    """Add an organisation with its contact details, in a role."""
    party = ET.SubElement(dataset, role)
    ET.SubElement(party, "organizationName").text = card.organisation
    if card.email:
        ET.SubElement(party, "electronicMailAddress").text = card.email
    if card.page:
        ET.SubElement(party, "onlineUrl").text = card.page


def add_para(parent: ET.Element, name: str, text: str) -> None:
    """Add an element with one paragraph."""
    ET.SubElement(ET.SubElement(parent, name), "para").text = text


def finish(root: ET.Element) -> bytes:
    """Serialise the document, reproducibly."""
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()
