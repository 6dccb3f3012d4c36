from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.archives import json_stream
from indexer.archives.json_stream import read_members
from indexer.curation.curate import CurationPolicy, curate
from indexer.curation.names import KnownNames
from indexer.records import CuratedRecord
from retrieval.errors import ArchiveError
from tests.indexer.archives.samples import TODAY, read

COCO = {
    "annotations": [
        {"id": 1, "image_id": 10, "category_id": 5},
        {"id": 2, "image_id": 11, "category_id": 6},
        {"id": 3, "image_id": 10, "category_id": 5},
        {"id": 4, "image_id": 13, "category_id": 99},
        {"id": 5, "image_id": 14, "category_id": 5},
        {"id": 6, "image_id": 14, "category_id": 6},
        {"id": 7, "image_id": 77, "category_id": 6},
    ],
    "categories": [
        {"id": 5, "name": "Inocybe rimosa ", "supercategory": "Inocybe"},
        {"id": 6, "name": "Inocybe rimosa", "supercategory": "Fungi", "kingdom": "Fungi", "specific_epithet": "rimosa"},
    ],
    "info": {"year": 2018},
    "licenses": [
        {"id": 0, "name": "CC BY-NC 4.0", "url": "http://creativecommons.org/licenses/by-nc/4.0/"},
        {"id": 1, "name": "CC0"},
    ],
    "images": [
        {"id": 10, "file_name": "images/a.jpg", "license": 0, "rights_holder": "N. N."},
        {
            "id": 11,
            "file_name": "images/b.jpg",
            "license": 1,
            "date": "2014-06-11",
            "latitude": 50.5,
            "longitude": None,
        },
        {"id": 12, "file_name": "test/c.jpg", "license": 1},
        {"id": 13, "file_name": "images/d.jpg"},
        {"id": 14, "file_name": "images/e.jpg"},
        {"id": 15},
    ],
}


def test_images_are_joined_with_annotations_categories_and_licences(tmp_path: Path) -> None:
    (tmp_path / "val.json").write_text(json.dumps(COCO, indent=1))

    records, rejections = read(tmp_path / "val.json")

    assert [
        (r.photo, r.scientific_name, r.genus, r.licence, r.rights_holder, r.event_date, r.decimal_latitude)
        for r in records
    ] == [
        (
            "images/a.jpg",
            "Inocybe rimosa",
            "Inocybe",
            "http://creativecommons.org/licenses/by-nc/4.0/",
            "N. N.",
            "",
            "",
        ),
        ("images/b.jpg", "Inocybe rimosa", "", "CC0", "", "2014-06-11", "50.5"),
    ]
    assert [rejection.reason for rejection in rejections] == [
        "no-identification",
        "unknown-species",
        "ambiguous-identification",
        "no-photo",
        "orphan",
    ]
    text = (tmp_path / "val.json").read_text().splitlines()
    assert '"id": 12' in "".join(text[rejections[0].line - 1 : rejections[0].line + 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "a.json, line 1: '{' is expected"),
        ('{"annotations": []}', "there is no list of images"),
        ('{"images": [\n{"id": 1},\n{"id": ', "a.json, line 3: this is no JSON"),
        ('{"images": []}\n}', "a.json, line 2: there is more after the end"),
        ('{"images": [] "b": 1}', "a.json, line 1: '}' is expected"),
        ("", "a.json, line 1"),
    ],
)
def test_what_is_no_such_json_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(ArchiveError) as refusal:
        read(tmp_path / "a.json", "coco")

    assert message in str(refusal.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), values, max_size=5), st.integers(1, 40), st.sampled_from([None, 1]))
def test_a_stream_gives_what_reading_it_whole_gives(whole: dict[str, Any], chunk: int, indent: int | None) -> None:
    kept = json_stream.CHUNK
    json_stream.CHUNK = chunk  # so small that every value is cut somewhere
    try:
        found = [
            (key, value) for key, value, _ in read_members(io.BytesIO(json.dumps(whole, indent=indent).encode()), "a")
        ]
    finally:
        json_stream.CHUNK = kept

    expected: list[tuple[str, object]] = []
    for key, value in whole.items():
        expected += [(key, item) for item in value] if isinstance(value, list) else [(key, value)]
    assert found == expected


def test_real_annotations_keep_every_image_and_join_categories_of_one_name(shared: Path) -> None:
    noncommercial = CurationPolicy(today=TODAY, licences="noncommercial")

    records, rejections = read(shared / "samples/fgvcx-fungi-2018/val.json")
    curated = [curate(record, noncommercial, KnownNames()) for record in records]

    assert (len(records), rejections) == (4182, [])
    assert all(record.genus and record.rights_holder for record in records)
    kept = [item for item in curated if isinstance(item, CuratedRecord)]
    assert len(kept) == 4179  # three are called `Hydnum umbilicatum ss auct. eur.`: of that species they are not
    names = Counter(record.species_name for record in kept)
    assert names["Inocybe rimosa"] == names["Cortinarius anomalus"] == 6  # two categories of three photos each
    assert not any(name != name.strip() or "(" in name for name in names)


def test_real_test_images_have_no_identification(shared: Path) -> None:
    records, rejections = read(shared / "samples/fgvcx-fungi-2018/test_first200.json")

    assert records == []
    assert Counter(rejection.reason for rejection in rejections) == {"no-identification": 200}


def test_an_image_id_that_stands_twice_is_of_the_first_image_only(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({
        "annotations": [{"image_id": 3, "category_id": 1}],
        "categories": [{"id": 1, "name": "Mycena pura"}],
        "images": [{"id": 3, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}],
    }))  # fmt: skip

    records, rejections = read(tmp_path / "a.json")

    assert [record.photo for record in records] == ["a.jpg"]
    assert [(one.reason, one.photo) for one in rejections] == [("ambiguous-identification", "b.jpg")]
