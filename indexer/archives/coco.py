"""A reader of COCO JSON as used by FGVCx Fungi 2018 and the iNaturalist competitions.

The file has images, annotations, categories and licences in any order and may be larger than memory, so it is read
twice: first everything that images refer to, then the images. Categories are identified by id, since names are not
unique (FGVCx has 1394 categories and 1392 names).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from indexer.archives.container import open_file
from indexer.archives.json_stream import read_members
from indexer.archives.shelf import RowShelf
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import ArchiveError

CATEGORY_FIELDS = {
    "kingdom": "kingdom", "phylum": "phylum", "class": "class_", "order": "order", "family": "family", "genus": "genus",
    "specific_epithet": "specific_epithet", "common_name": "vernacular_name",
}  # fmt: skip
IMAGE_FIELDS = {
    "rights_holder": "rights_holder",
    "date": "event_date",
    "latitude": "decimal_latitude",
    "longitude": "decimal_longitude",
    "location_uncertainty": "coordinate_uncertainty",
}


def read_coco(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Yield a record or rejection for every image, and a rejection for every annotation without an image."""
    file = source.path.name
    with RowShelf() as annotations:
        categories, licences = read_references(source, annotations)
        with open_file(source.path) as stream:
            images = ((image, line) for key, image, line in read_members(stream, file) if key == "images")
            for image, line in images:
                if not isinstance(image, dict) or not text_of(image.get("file_name")):
                    yield RejectedRecord("no-photo", f"{file}, line {line}: an image without file_name", file, line)
                    continue
                found = annotations.find(text_of(image.get("id")))
                if found and found.uses:
                    detail = (
                        f"{file}, line {line}: there are several images {found.key}, and which one is meant is not said"
                    )
                    photo = text_of(image["file_name"])
                    yield RejectedRecord("ambiguous-identification", detail, file, line, photo)
                    continue
                annotations.use(text_of(image.get("id")))
                yield read_image(image, annotations, categories, licences, file, line)
        for row in annotations.unused():
            detail = f"{file}, line {row.line}: an annotation for image {row.key}, which is not there"
            yield RejectedRecord("orphan", detail, file, row.line)


def read_references(source: ArchiveSource, annotations: RowShelf) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Shelve annotations by image; return categories and licences by id. Raises ArchiveError without images."""
    categories: dict[str, dict[str, str]] = {}
    licences: dict[str, str] = {}
    seen_images = False
    file = source.path.name
    with open_file(source.path) as stream:
        for key, item, line in read_members(stream, file):
            seen_images = seen_images or key == "images"
            if not isinstance(item, dict):
                continue
            if key == "categories":
                categories[text_of(item.get("id"))] = read_category(item)
            elif key == "licenses":
                licences[text_of(item.get("id"))] = text_of(item.get("url")) or text_of(item.get("name"))
            elif key == "annotations":
                image, category = text_of(item.get("image_id")), text_of(item.get("category_id"))
                if not annotations.put(image, {"category": category}, file, line):
                    first = annotations.find(image)
                    if first and first.fields["category"] != category:  # several boxes of one species are accepted
                        annotations.put(f"{image} again", {"category": category}, file, line)
                        annotations.use(f"{image} again")
    if not seen_images:
        raise ArchiveError(f"{file}, line 1: there is no list of images in this JSON")
    return categories, licences


def read_image(
    image: Mapping[str, Any],
    annotations: RowShelf,
    categories: Mapping[str, dict[str, str]],
    licences: Mapping[str, str],
    file: str,
    line: int,
) -> Record | RejectedRecord:
    """Join an image with its annotation, category and licence."""
    photo, key = text_of(image["file_name"]), text_of(image.get("id"))
    where = f"{file}, line {line}: image {key}"
    annotation = annotations.find(key)
    if annotation is None:
        return RejectedRecord("no-identification", f"{where} has no annotation with its species", file, line, photo)
    if annotations.find(f"{key} again"):
        return RejectedRecord(
            "ambiguous-identification", f"{where} is annotated with several species", file, line, photo
        )
    category = categories.get(annotation.fields["category"])
    if category is None:
        detail = f"{where} is of category {annotation.fields['category']}, which is not listed"
        return RejectedRecord("unknown-species", detail, file, line, photo)
    fields = {field: text_of(image.get(key)) for key, field in IMAGE_FIELDS.items()}
    licence = text_of(image.get("license"))
    fields["licence"] = licences.get(licence, "" if licence.isdecimal() else licence)
    return Record(photo=photo, **fields, **category, file=file, line=line)


def read_category(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the taxonomic fields of a record from its category.

    `supercategory` is the genus in FGVCx, but an iconic group in iNaturalist.
    """
    fields = {field: text_of(item[key]) for key, field in CATEGORY_FIELDS.items() if text_of(item.get(key))}
    name, group = text_of(item.get("name")), text_of(item.get("supercategory"))
    if "genus" not in fields and group and name.startswith(group + " "):
        fields["genus"] = group
    return {"scientific_name": name, **fields}


def text_of(value: object) -> str:
    """Return a JSON value as trimmed text; null as empty text."""
    return "" if value is None else str(value).strip()
