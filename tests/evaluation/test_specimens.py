"""The drawn demo collection: reproducible, importable, and identifiable as far as it claims."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import date
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from dwca.read import DwCAReader
from PIL import Image

from evaluation.specimens.archive import AUTHOR, LICENCE, write_archive, write_checklist
from evaluation.specimens.camera import STATEMENT
from evaluation.specimens.collection import CollectionError, DemoCollection, draw_collection
from evaluation.specimens.photo import ASPECTS, draw_photo
from evaluation.specimens.traits import (
    KINDS,
    DrawnSpecies,
    sample_family,
    sample_genus,
    sample_genus_species,
    sample_individual,
    sample_species,
    seen,
)
from evaluation.specimens.world import BOXES, REGIONS, World, make_world
from retrieval.domain import ASPECTS as ALL_ASPECTS

SMALL = 3  # species of the collections drawn here: enough for pairs, few enough to be quick


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DemoCollection:
    return draw_collection(tmp_path_factory.mktemp("drawn") / "demo", seed=5, species=SMALL, processes=1)


@pytest.fixture(scope="module")
def world() -> World:
    """Return the whole default collection, not drawn."""
    return make_world(1, 60)


@dataclass(frozen=True)
class Tables:
    archive: Path
    checklists: Path


@pytest.fixture(scope="module")
def tables(world: World, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Return the default collection's tables, without a drawing."""
    folder = tmp_path_factory.mktemp("tables")
    write_archive(folder / "archive", world)
    for region in REGIONS:
        write_checklist(folder / region, world, region)
    return Tables(folder / "archive", folder)


def rows(path: Path, separator: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter=separator))


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def genera(world: World) -> list[list[DrawnSpecies]]:
    members: dict[str, list[DrawnSpecies]] = {}
    for listed in world.species:
        assert listed.traits is not None
        members.setdefault(listed.genus.name, []).append(listed.traits)
    return list(members.values())


def test_the_same_seed_gives_the_same_bytes_with_one_process_or_two(drawn: DemoCollection, tmp_path: Path) -> None:
    other = draw_collection(tmp_path / "demo", seed=5, species=SMALL, processes=2)

    assert digests(other.folder) == digests(drawn.folder)


def test_another_seed_gives_other_drawings() -> None:
    species, individual = (sample_species(np.random.default_rng(3)), sample_individual(np.random.default_rng(4)))

    first, again, other = (
        draw_photo(species, individual, "cap", np.random.default_rng(s), (64, 48)) for s in (1, 1, 2)
    )

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_second_call_draws_nothing(drawn: DemoCollection) -> None:
    before = digests(drawn.folder)

    again = draw_collection(drawn.folder, seed=5, species=SMALL, processes=1)

    assert again.drawn == 0
    assert (again.photos, again.observations) == (drawn.photos, drawn.observations)
    assert digests(drawn.folder) == before


def test_an_interrupted_drawing_goes_on_and_gives_the_same_bytes(drawn: DemoCollection, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(drawn.folder, folder)
    finished = json.loads((folder / "collection.json").read_text())
    begun = {name: finished[name] for name in ("seed", "species", "versions")}
    (folder / "collection.json").rename(folder / ".drawing.json")
    (folder / ".drawing.json").write_text(json.dumps(begun))
    lost = sorted((folder / "archive" / "photos").rglob("*.jpg"))[::7]
    for path in lost:
        path.unlink()

    resumed = draw_collection(folder, seed=5, species=SMALL, processes=1)

    assert resumed.drawn == len(lost)
    assert digests(folder) == digests(drawn.folder)


def test_a_folder_with_another_collection_is_refused(drawn: DemoCollection) -> None:
    with pytest.raises(CollectionError, match="with seed 5, not of 3 with seed 6"):
        draw_collection(drawn.folder, seed=6, species=SMALL)


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")

    with pytest.raises(CollectionError, match="not empty"):
        draw_collection(tmp_path, species=SMALL)

    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_every_photo_of_the_archive_is_there_and_of_the_promised_size(drawn: DemoCollection) -> None:
    listed = {row["identifier"] for row in rows(drawn.archive / "multimedia.txt", "\t")}
    found = {path.relative_to(drawn.archive).as_posix() for path in drawn.archive.rglob("*.jpg")}

    sizes = []
    for name in listed:
        with Image.open(drawn.archive / name) as photo:
            sizes.append(max(photo.size))
            assert photo.info["comment"].decode() == STATEMENT

    assert listed == found
    assert len(listed) == drawn.photos
    assert min(sizes) >= 480
    assert max(sizes) <= 640


def test_every_photo_names_its_author_its_licence_and_that_it_is_a_drawing(tables: Tables) -> None:
    photos = rows(tables.archive / "multimedia.txt", "\t")

    assert {(row["creator"], row["license"], row["references"]) for row in photos} == {(AUTHOR, LICENCE, STATEMENT)}
    assert all(row["title"].startswith("Drawing of ") and "does not exist" in row["title"] for row in photos)


def test_the_archive_is_read_by_python_dwca_reader(tables: Tables, world: World) -> None:
    with DwCAReader(str(tables.archive)) as archive:
        core = archive.rows
        media = [[line.data for line in row.extensions] for row in core]
        title = archive.metadata.find("dataset/title").text

    assert len(core) == len(world.finds)
    assert [[line["http://rs.tdwg.org/ac/terms/subjectPart"] for line in photos] for photos in media] == [
        list(find.aspects) for find in world.finds
    ]
    assert title == "Drawings of fungi that do not exist"
    assert {row.data["http://rs.tdwg.org/dwc/terms/kingdom"] for row in core} == {"Fungi"}
    assert all(
        photo["http://purl.org/dc/terms/identifier"].startswith("photos/") for photos in media for photo in photos
    )


def test_the_default_collection_has_sixty_species_in_fifteen_genera_and_six_families(world: World) -> None:
    finds = Counter(find.species.name for find in world.finds)
    photos = [len(find.aspects) for find in world.finds]

    assert len({listed.name for listed in world.species}) == 60
    assert len(genera(world)) == 15
    assert len({listed.genus.family.name for listed in world.species}) == 6
    assert len(finds) == 60
    assert min(finds.values()) >= 12
    assert set(photos) == {1, 2, 3, 4}
    assert 2.0 < np.mean(photos) < 2.5
    assert {aspect for find in world.finds for aspect in find.aspects} == set(ASPECTS) <= set(ALL_ASPECTS)
    assert all(len(set(find.aspects)) == len(find.aspects) for find in world.finds)


def test_no_single_aspect_tells_the_species_of_any_genus_apart(world: World) -> None:
    for members in genera(world):
        for aspect in ASPECTS:
            kinds = {repr(seen(species, aspect)) for species in members}
            assert len(kinds) <= len(members) / 2, (members[0].genus.name, aspect)


def test_two_aspects_tell_all_species_of_a_genus_apart(world: World) -> None:
    for members in genera(world):
        telling = ("cap" if members[0].genus.contrast == "hymenium" else "stipe", "hymenium")
        assert len({repr([seen(species, aspect) for aspect in telling]) for species in members}) == len(members)


def test_species_share_their_cap_exactly_and_differ_below(world: World) -> None:
    shared = 0
    for members in genera(world):
        for one, other in combinations(members, 2):
            if one.cap == other.cap:
                shared += 1
                assert one.hymenium != other.hymenium or one.stipe != other.stipe

    assert shared >= 30


@pytest.mark.parametrize("kind", list(KINDS))
def test_species_that_share_what_an_aspect_shows_give_the_same_pixels(kind: str) -> None:
    rng = np.random.default_rng(11)
    genus = sample_genus(rng, sample_family(rng, kind))
    members = sample_genus_species(rng, genus, ("a", "b", "c", "d"))
    individual = sample_individual(rng)

    for aspect in ASPECTS:
        drawings = {
            species.name: draw_photo(species, individual, aspect, np.random.default_rng(2), (96, 72), habitat="moss")
            for species in members
        }
        for one, other in combinations(members, 2):
            alike = np.array_equal(drawings[one.name], drawings[other.name])
            assert alike == (seen(one, aspect) == seen(other, aspect)), (aspect, one.name, other.name)


@pytest.mark.parametrize("kind", list(KINDS))
def test_any_size_and_kind_can_be_drawn(kind: str) -> None:
    rng = np.random.default_rng(7)

    for aspect in ASPECTS:
        photo = draw_photo(sample_species(rng, kind), sample_individual(rng), aspect, rng, (90, 120))

        assert photo.shape == (120, 90, 3)
        assert photo.dtype == np.uint8
        assert photo.std() > 5


def test_an_aspect_nobody_draws_is_refused_by_name() -> None:
    rng = np.random.default_rng(1)

    with pytest.raises(ValueError, match="'microscopy' cannot be drawn"):
        draw_photo(sample_species(rng), sample_individual(rng), "microscopy", rng)


def test_each_checklist_has_about_three_fifths_of_the_species_and_overlaps_the_others(tables: Tables) -> None:
    present = {}
    for region in REGIONS:
        names = {row["taxonID"]: row["scientificName"] for row in rows(tables.checklists / region / "taxon.csv")}
        lines = rows(tables.checklists / region / "distribution.csv")
        assert {line["occurrenceStatus"] for line in lines} == {"present", "absent", "doubtful"}
        assert {line["countryCode"] for line in lines} <= set(REGIONS[region])
        assert {line["taxonID"] for line in lines} == set(names)
        present[region] = {names[line["taxonID"]] for line in lines if line["occurrenceStatus"] == "present"}
    photographed = {row["scientificName"] for row in rows(tables.archive / "occurrence.txt", "\t")}

    for region, listed in present.items():
        assert 0.5 <= len(listed & photographed) / len(photographed) <= 0.7, region
        assert listed - photographed, f"the {region} lists nothing that lacks photos"
    for one, other in combinations(present.values(), 2):
        assert one & other
        assert one - other


def test_lists_speak_two_languages_and_of_poison_but_never_of_eating(tables: Tables) -> None:
    for region in REGIONS:
        languages = {row["language"] for row in rows(tables.checklists / region / "vernacularname.csv")}
        poison = Counter(row["toxicity"] for row in rows(tables.checklists / region / "taxon.csv"))

        assert languages == {"en", "da"}
        assert set(poison) == {"", "toxic"}
        assert poison["toxic"] < poison[""]


def test_finds_lie_in_their_country_within_the_range_and_are_not_in_the_future(world: World) -> None:
    for find in (*world.finds, *world.held_out):
        south, north, west, east = BOXES[find.country]

        assert south <= find.latitude <= north
        assert west <= find.longitude <= east
        assert any(find.country in REGIONS[region] for region in find.species.regions)
        assert find.day < date(2025, 7, 1)


def test_held_out_finds_have_two_to_four_photos_of_known_species_and_the_first_exactly_two(
    drawn: DemoCollection,
) -> None:
    answers = json.loads((drawn.held_out / "answers.json").read_text())["observations"]
    known = {row["scientificName"] for row in rows(drawn.archive / "occurrence.txt", "\t")}
    inside = set(digests(drawn.archive).values())

    assert len(answers[0]["files"]) == 2
    for answer in answers:
        assert 2 <= len(answer["files"]) <= 4
        assert answer["scientificName"] in known
        assert answer["flora"] in drawn.checklists
        for name in answer["files"]:
            assert hashlib.sha256((drawn.held_out / name).read_bytes()).hexdigest() not in inside


def test_no_two_photos_are_the_same_file(drawn: DemoCollection) -> None:
    photos = [digest for name, digest in digests(drawn.folder).items() if name.endswith(".jpg")]

    assert all(first != second for first, second in pairwise(sorted(photos)))


def test_drawings_without_a_fungus_come_beside(drawn: DemoCollection) -> None:
    assert len(list(drawn.not_fungi.glob("*.jpg"))) == 9


def test_every_folder_says_that_nothing_in_it_exists(drawn: DemoCollection) -> None:
    told = ["README.txt", "collection.json", "archive/occurrence.txt", "archive/eml.xml", "held_out/answers.json"]
    told += [f"checklists/{region}/taxon.csv" for region in REGIONS]

    for name in told:
        text = " ".join((drawn.folder / name).read_text(encoding="utf-8").split())
        assert "does not exist" in text or "None of these species exists" in text, name


def test_no_genus_or_family_is_a_real_one(shared: Path) -> None:
    danish = json.loads((shared / "samples" / "danish" / "species.json").read_text(encoding="utf-8"))
    challenge = json.loads((shared / "samples" / "fgvcx-fungi-2018" / "val.json").read_text(encoding="utf-8"))
    real = {entry["name"].split()[0].lower() for entry in (*danish, *challenge["categories"]) if entry["name"].split()}

    invented = {genus.lower() for seed in range(5) for genus in (m.genus.name for m in make_world(seed, 120).species)}

    assert len(real) > 300
    assert not invented & real
