"""Appending, withdrawing and compacting: new references are found, old files not rewritten, answers unchanged."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.learning.calibrate import write_calibrated
from evaluation.learning.scoring import Method
from indexer.building.build import Catalogue, build_snapshot
from indexer.building.grow import append_references, compact_snapshot
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.domain import WORLD
from retrieval.errors import BuildError, DamagedSnapshot, UnknownPhoto
from retrieval.models.embedder import unit_rows
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.votes import Voting
from retrieval.search.index import ExactIndex
from retrieval.search.recipes import PROTOTYPE_FIRST, TWO_STAGE, Recipe
from retrieval.segments.segment import ReferenceEntry
from retrieval.snapshots.card import describe_calibration
from retrieval.snapshots.learned_arrays import METRIC, read_sums, sum_segments
from retrieval.snapshots.manifest import Manifest, checksum, read_current, read_manifest
from retrieval.snapshots.observation_context import ObservationContext
from retrieval.snapshots.publishing import publish_snapshot, verify_snapshot
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from retrieval.snapshots.withdrawals import withdraw_photos
from tests.catalogues import CARD, make_reference
from tests.floras import FLORAS, SPECIES, TAXA, embed, make_entries, publish
from tests.killed import mortals

ENTRIES = make_entries()
ROWS = embed(ENTRIES)
QUERIES = unit_rows(ROWS[::29] + 0.05 * np.random.default_rng(4).normal(size=ROWS[::29].shape))
GONE = ENTRIES[5:160:5]


def answers(snapshot: Snapshot, recipe: Recipe | None = None) -> list[bytes]:
    """What every flora answers, as bytes: photos, species, observations and similarities to the last bit."""
    lines = []
    for card in snapshot.floras:
        flora = snapshot.flora(card.id)
        found = replace(flora, recipe=recipe or flora.recipe).search(QUERIES, 15)
        photos = [snapshot.reference(row).photo for row in found.rows.ravel().tolist() if row >= 0]
        lines.append(
            "".join(photos).encode()
            + found.similarities.tobytes()
            + found.species.tobytes()
            + found.observations.tobytes()
        )
    return lines


@pytest.fixture
def root(tmp_path: Path) -> Path:
    publish(tmp_path, ENTRIES[:-20])
    return tmp_path


def test_appended_references_are_found_as_soon_as_published_and_rewrite_nothing(root: Path) -> None:
    old = {path: (path.stat().st_mtime_ns, checksum(path)) for path in (root / "segments").rglob("*.*")}
    before = open_snapshot(root)

    append_references(root, ENTRIES[-20:], ROWS[-20:])
    publish_snapshot(root)

    after = open_snapshot(root)
    nearest = after.flora(WORLD).neighbours(ROWS[-20:], 1)
    assert [after.reference(near[0].row).photo for near in nearest] == [entry.photo for entry in ENTRIES[-20:]]
    assert {path: (path.stat().st_mtime_ns, checksum(path)) for path in old} == old
    assert len(after.segments) == 2
    assert after.manifest.references == len(ENTRIES)
    assert after.manifest.observations == len({entry.observation_id for entry in ENTRIES})
    assert after.manifest.licences == dict(Counter(sorted(entry.licence for entry in ENTRIES)))
    assert before.manifest.references == len(ENTRIES) - 20
    cards = {card.id: card for card in after.floras}
    south = {species for plan in FLORAS if plan.id == "south" for species in plan.species}
    assert cards["south"].references == sum(entry.species in south for entry in ENTRIES)


def test_a_species_the_snapshot_does_not_know_is_not_appended(root: Path) -> None:
    with pytest.raises(BuildError, match="knows no species"):
        append_references(root, [make_reference(7, 7)], ROWS[:1])


def test_a_photo_is_not_appended_twice(root: Path) -> None:
    with pytest.raises(BuildError, match="already"):
        append_references(root, [ENTRIES[3]], ROWS[3:4])


@pytest.mark.parametrize(
    "recipe",
    [None, Recipe(TWO_STAGE, 250), Recipe(PROTOTYPE_FIRST, 250, probes=60), Recipe(PROTOTYPE_FIRST, probes=60)],
    ids=["exact", "two-stage", "prototype-first", "prototype-first, exact"],
)
def test_withdrawn_references_answer_nothing_and_all_others_as_if_they_had_never_been(
    root: Path, recipe: Recipe | None
) -> None:
    withdraw_photos(root, [entry.photo for entry in GONE])

    snapshot = open_snapshot(root)
    gone = {entry.photo for entry in GONE}
    left = [n for n, entry in enumerate(ENTRIES[:-20]) if entry.photo not in gone]
    species = np.array([ENTRIES[n].species for n in left])
    for card in snapshot.floras:
        flora = snapshot.flora(card.id)
        found = replace(flora, recipe=recipe or flora.recipe).neighbours(QUERIES, 15)
        _, expected = ExactIndex(ROWS[left], species).search(QUERIES, 15, flora.species)
        assert [[snapshot.reference(n.row).photo for n in view] for view in found] == [
            [ENTRIES[left[row]].photo for row in view] for view in expected.tolist()
        ]
    assert snapshot.references == len(left)
    assert snapshot.observation_count == len({ENTRIES[n].observation_id for n in left})
    assert sum(len(snapshot.references_of(taxon)) for taxon in SPECIES) == len(left)
    assert snapshot.count_references(np.array(SPECIES)).sum() == len(left)
    cards = {card.id: card for card in snapshot.floras}
    assert (cards[WORLD].species, cards[WORLD].references) == (len(set(species.tolist())), len(left))
    for plan in FLORAS:
        inside = species[np.isin(species, list(plan.species))]
        assert cards[plan.id].references == snapshot.flora(plan.id).card.references == len(inside)
        assert cards[plan.id].covered == len(set(inside.tolist()))
        assert cards[plan.id].species == len(plan.species)
    with pytest.raises(UnknownPhoto):
        snapshot.reference_of_photo(GONE[0].photo)


@pytest.mark.parametrize(
    "recipe",
    [
        None,
        Recipe(TWO_STAGE, 60),
        Recipe(PROTOTYPE_FIRST, 60, probes=4),
        Recipe(PROTOTYPE_FIRST, 20, probes=1),
        Recipe(PROTOTYPE_FIRST, probes=4),
    ],
    ids=["exact", "two-stage", "prototype-first", "too few at first", "prototype-first, exact"],
)
def test_compaction_changes_no_answer_by_a_bit(tmp_path: Path, recipe: Recipe | None) -> None:
    publish(tmp_path, ENTRIES, segments=4)
    withdraw_photos(tmp_path, [entry.photo for entry in GONE])
    before = open_snapshot(tmp_path)
    expected = answers(before, recipe)

    publish_snapshot(tmp_path, compact_snapshot(tmp_path))

    after = open_snapshot(tmp_path)
    assert len(before.segments) == 4
    assert len(after.segments) == 1
    assert after.segments[0].rows == len(ENTRIES) - len(GONE)
    assert after.manifest.recipes == before.manifest.recipes
    assert sum(after.manifest.licences.values()) == len(ENTRIES) - len(GONE)
    assert (after.manifest.references, after.manifest.observations) == (before.references, before.observation_count)
    assert answers(after, recipe) == expected


def test_prototypes_are_kept_up_as_references_come_and_go(tmp_path: Path) -> None:
    """Compared with the sums of a snapshot that was built at once from what is left."""
    publish(tmp_path / "grown", ENTRIES, segments=3)
    withdraw_photos(tmp_path / "grown", [entry.photo for entry in GONE])
    gone = {entry.photo for entry in GONE}
    publish(tmp_path / "built", [entry for entry in ENTRIES if entry.photo not in gone])

    grown, built = open_snapshot(tmp_path / "grown"), open_snapshot(tmp_path / "built")
    summed = sum_segments(grown.segments)
    publish_snapshot(tmp_path / "grown", compact_snapshot(tmp_path / "grown"))
    compact = open_snapshot(tmp_path / "grown")

    assert read_sums(tmp_path / "grown" / "snapshots" / grown.name) is not None
    assert np.array_equal(grown.sums.species, summed.species)
    assert np.allclose(grown.sums.sums, summed.sums, atol=1e-9)
    assert np.array_equal(grown.sums.observations, summed.observations)
    assert np.array_equal(compact.sums.sums, grown.sums.sums)  # else answers would change
    means = [unit_rows(s.sums.sums[s.sums.observations > 0]) for s in (grown, built)]
    assert np.min(np.sum(means[0] * means[1], axis=1)) > 0.9  # the same species; photos of one find may be apart


def test_references_that_are_all_the_same_picture_can_be_published_and_found(tmp_path: Path) -> None:
    same = np.repeat(np.eye(1, 256, dtype=np.float32), 300, axis=0)

    publish(tmp_path, ENTRIES[:300], rows=same, segments=2)

    snapshot = open_snapshot(tmp_path)
    assert snapshot.segments[0].codes is not None
    exact = replace(snapshot.flora(WORLD), recipe=Recipe()).search(same[:2], 7)
    coded = replace(snapshot.flora(WORLD), recipe=Recipe(TWO_STAGE, 20)).search(same[:2], 7)
    coarse = replace(snapshot.flora(WORLD), recipe=Recipe(PROTOTYPE_FIRST, 20, probes=2)).search(same[:2], 7)
    assert np.array_equal(coded.rows, exact.rows)
    assert np.array_equal(coarse.similarities, exact.similarities)  # all means are the same: any species will do


def test_codes_of_an_older_format_are_not_read_and_floras_searched_exactly_until_the_next_build(root: Path) -> None:
    manifest = read_manifest(root, read_current(root))
    assert sorted(manifest.codes) == sorted(manifest.segments)
    folder = root / "snapshots" / manifest.name
    old = replace(manifest, codes={}, recipes={WORLD: Recipe(TWO_STAGE, 400, 0.999, 0.995, 192, 99).described()})
    (root / "snapshots" / old.name).mkdir()
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            place = root / "snapshots" / old.name / path.relative_to(folder)
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(path.read_bytes())
    (root / "snapshots" / old.name / "manifest.json").write_text(old.text(), encoding="utf-8")

    snapshot = open_snapshot(root, old.name)

    assert snapshot.segments[0].codes is None
    exact = replace(snapshot.flora(WORLD), recipe=Recipe()).search(QUERIES, 9)
    assert np.array_equal(snapshot.flora(WORLD).search(QUERIES, 9).rows, exact.rows)
    publish_snapshot(root, old.name)
    append_references(root, ENTRIES[-20:], ROWS[-20:])
    name = publish_snapshot(root)
    assert len(read_manifest(root, name).codes) == 2


def test_compacting_what_is_compact_changes_nothing(root: Path) -> None:
    assert compact_snapshot(root) == read_current(root)


def test_a_build_withdraws_what_the_catalogue_lost_and_rewrites_no_segment(root: Path) -> None:
    with EmbeddingStore(root / "store", CARD["model"]) as store:
        catalogue = Catalogue(ENTRIES[:-25], TAXA, [], [], FLORAS)
        name = build_snapshot(root, catalogue, store, CARD, codes_from=0)

    manifest = read_manifest(root, name)
    assert manifest.segments == read_manifest(root, read_current(root)).segments
    assert list(manifest.withdrawn.values()) == [5]
    assert manifest.references == len(ENTRIES) - 25


def rewrite(root: Path, manifest: Manifest) -> str:
    """The published snapshot once more, under another manifest."""
    shutil.copytree(root / "snapshots" / read_current(root), root / "snapshots" / manifest.name)
    (root / "snapshots" / manifest.name / "manifest.json").write_text(manifest.text(), encoding="utf-8")
    return manifest.name


def test_a_recall_below_the_bar_is_not_published(root: Path) -> None:
    before = read_manifest(root, read_current(root))
    recipe = Recipe(TWO_STAGE, 50, 0.985, 0.9, 192, 100).described()
    poor = rewrite(root, replace(before, recipes={"north": recipe}))

    with pytest.raises(BuildError, match="flora north finds"):
        publish_snapshot(root, poor)
    assert read_current(root) == before.name
    publish_snapshot(root, poor, recall_bar=0.98)
    assert read_current(root) == poor


def test_codes_of_other_rows_are_not_published_although_their_checksums_agree(root: Path) -> None:
    before = read_manifest(root, read_current(root))
    seal = next(seal for seal in before.files if seal.path.endswith(".codes"))
    codes = bytearray((root / seal.path).read_bytes())
    some = slice(0, 32 * sum(segment.rows for segment in open_snapshot(root).segments))
    codes[some] = np.random.default_rng(3).permutation(np.frombuffer(codes[some], np.uint8)).tobytes()
    (root / seal.path).write_bytes(codes)
    sealed = replace(seal, sha256=hashlib.sha256(codes).hexdigest())
    other = rewrite(root, replace(before, files=tuple(sealed if one == seal else one for one in before.files)))

    with pytest.raises(DamagedSnapshot, match="codes of snapshot"):
        publish_snapshot(root, other)
    assert read_current(root) == before.name


def test_codes_of_other_rows_are_found_although_their_checksums_agree(root: Path) -> None:
    from retrieval.snapshots.publishing import probe_codes

    segment = open_snapshot(root).segments[0]
    assert segment.codes is not None
    probe_codes(segment, "whole")

    rows = segment.store._rows
    segment.store._rows = rows[::-1]

    with pytest.raises(DamagedSnapshot, match="codes"):
        probe_codes(segment, "reversed")


@pytest.mark.parametrize("moment", ["open", "verify"])
def test_a_flipped_byte_in_any_file_is_found(tmp_path: Path, moment: str) -> None:
    """At opening, where a program flipped it; by verify, where the disk did so and left the times as they were."""
    publish(tmp_path, ENTRIES[:200], segments=2)
    with EmbeddingStore(tmp_path / "store", CARD["model"]) as store:  # the catalogue has lost one
        store.add([entry.photo for entry in ENTRIES[:200]], ROWS[:200])
        build_snapshot(tmp_path, Catalogue(ENTRIES[1:200], TAXA, [], [], FLORAS), store, CARD, codes_from=0)
    name = publish_snapshot(tmp_path)
    manifest = read_manifest(tmp_path, name)
    assert manifest.withdrawn
    own = tmp_path / "snapshots" / name
    files = [path for seal in manifest.files for path in (own / seal.path, tmp_path / seal.path) if path.exists()]
    files.append(own / "manifest.json")
    dice = random.Random(5)

    assert len(files) == len(manifest.files) + 1
    for path in files:
        whole = path.read_bytes()
        place = dice.randrange(len(whole))
        with path.open("r+b") as file:
            file.seek(place)
            file.write(bytes([whole[place] ^ (1 << dice.randrange(8))]))
        if moment == "verify":
            forget_the_flip(tmp_path, path)
            with pytest.raises(DamagedSnapshot):
                verify_snapshot(tmp_path, name)
        else:
            with pytest.raises(DamagedSnapshot):
                open_snapshot(tmp_path)
        path.write_bytes(whole)
    verify_snapshot(tmp_path, name)
    open_snapshot(tmp_path).close()


def forget_the_flip(root: Path, path: Path) -> None:
    """Make the stamp of a file agree with its times, as if nothing had written to it."""
    from retrieval.snapshots.verified_files import describe_file, read_verified_files, write_verified_files

    verified = read_verified_files(root)
    place = path.relative_to(root).as_posix()
    if place in verified:
        verified[place] = describe_file(path, verified[place].sha256)
        write_verified_files(root, verified)


GROWER = """
from pathlib import Path
from indexer.building.grow import append_references, compact_snapshot
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.withdrawals import withdraw_photos
from tests.floras import SPECIES, embed
from tests.catalogues import make_reference
def work(root, turn):
    root, turn = Path(root), int(turn)
    def publish(name=None):
        publish_snapshot(root, name)
        print("finished", flush=True)
    for step in range(1000):
        new = [make_reference(SPECIES[n], 1_000_000 * (turn + 1) + 1000 * step + n) for n in range(5)]
        append_references(root, new, embed(new))
        publish()
        if step % 3 == 1:
            withdraw_photos(root, [new[0].photo])
        if step % 3 == 2:
            publish(compact_snapshot(root))
"""


@pytest.mark.slow
def test_growers_killed_at_random_moments_leave_a_whole_snapshot_each_time(
    tmp_path: Path, rounds: Callable[..., int]
) -> None:
    moments, seen, count = random.Random(50), set(), rounds(20, exhaustively=50)

    with mortals(GROWER) as growers:
        for turn in range(count):
            root = tmp_path / f"{turn // 10}"  # ten after one another, each over what the ones before it left behind
            if not root.exists():
                publish(root, ENTRIES[:120])
            growers.begin(root, turn).kill_amid(moments, 4)

            snapshot = open_snapshot(root)
            seen.add((snapshot.name, len(snapshot.segments)))
            assert sum(len(snapshot.references_of(species)) for species in SPECIES) == snapshot.references
            assert snapshot.flora(WORLD).neighbours(QUERIES[:1], 3)[0]
            snapshot.close()
            if turn % 5 == 4:
                verify_snapshot(root, read_current(root))

    assert len({name for name, _ in seen}) > count / 5, "too few growers lived long enough to publish anything"
    assert len({segments for _, segments in seen}) > 1, "no grower was killed between appending and compacting"


def test_the_card_says_how_floras_are_searched_and_what_is_withdrawn(root: Path) -> None:
    from retrieval.snapshots.card import write_card

    manifest = read_manifest(root, read_current(root))
    measured = replace(manifest, recipes={"north": Recipe(TWO_STAGE, 400, 0.9981, 0.9923, 192, 99).described()})

    assert "nothing is left out" in write_card(manifest)
    assert "| north | 400 | all | 0.9981 | 0.9923 | 192 of its references |" in write_card(measured)
    assert "3 withdrawn references" in write_card(replace(manifest, withdrawn={"a": 1, "b": 2}))


def say_when(root: Path, entries: list[ReferenceEntry]) -> str:
    """Build and publish with a month for every observation: its number's last digit and one."""
    seen = {entry.observation_id for entry in entries}
    with EmbeddingStore(root / "store", CARD["model"]) as store:
        contexts = [ObservationContext(one, 1 + one % 10) for one in sorted(seen)]
        catalogue = Catalogue(entries, TAXA, [], [], FLORAS, contexts=contexts)
        name = build_snapshot(root, catalogue, store, CARD, codes_from=10**9)
    publish_snapshot(root)
    return name


def months_of(root: Path) -> dict[int, int]:
    with closing(open_snapshot(root)) as snapshot:
        return {one.observation: one.month for one in snapshot.contexts.listed()} if snapshot.contexts else {}


def test_months_of_observations_follow_what_is_appended_withdrawn_and_compacted(root: Path) -> None:
    old, new = ENTRIES[:-20], ENTRIES[-20:]
    say_when(root, old)
    expected = {entry.observation_id: 1 + entry.observation_id % 10 for entry in old}
    assert months_of(root) == expected

    added = sorted({entry.observation_id for entry in new} - set(expected))
    append_references(root, new, ROWS[-20:], [ObservationContext(one, 12) for one in added])
    publish_snapshot(root)
    expected |= dict.fromkeys(added, 12)
    assert months_of(root) == expected

    gone = ENTRIES[0].observation_id
    withdraw_photos(root, [entry.photo for entry in old if entry.observation_id == gone])
    publish_snapshot(root, compact_snapshot(root))
    del expected[gone]
    assert months_of(root) == expected
    verify_snapshot(root, read_current(root))


def test_a_snapshot_from_before_there_were_months_still_opens_and_grows(root: Path) -> None:
    assert open_snapshot(root).contexts is None

    append_references(root, ENTRIES[-20:], ROWS[-20:])
    publish_snapshot(root)

    assert open_snapshot(root).contexts is None


def test_a_build_carries_over_what_was_learned_and_says_of_what(root: Path) -> None:
    with closing(open_snapshot(root)) as snapshot:
        learned = Calibration(
            votes=0.5,
            fitted={"logLoss": 1.0},
            metric=True,
            lookalikes=((SPECIES[0], SPECIES[1], 0.5), (SPECIES[1], 999_999, 0.5), (SPECIES[2], SPECIES[1], 0.4)),
        )
        metric = np.eye(256, dtype=np.float32)
        calibrated = write_calibrated(root, snapshot, Method(Voting(40, 0.08), learned, metric))
        publish_snapshot(root, calibrated)
    assert "of this snapshot" in describe_calibration(read_manifest(root, calibrated))

    with EmbeddingStore(root / "store", CARD["model"]) as store:
        again = build_snapshot(root, Catalogue(ENTRIES[:-20], TAXA, [], [], FLORAS), store, CARD, codes_from=0)
        renamed = [(replace(t, name="Renamed now") if t.id == SPECIES[2] else t, toxic) for t, toxic in TAXA]
        grown = build_snapshot(root, Catalogue(ENTRIES[:-25], renamed, [], [], FLORAS), store, CARD, codes_from=0)
        plain = build_snapshot(
            root, Catalogue(ENTRIES[:-20], TAXA, [], [], FLORAS), store, CARD, voting=Voting(), codes_from=0
        )

    assert "of this snapshot" in describe_calibration(read_manifest(root, again))
    manifest = read_manifest(root, grown)
    assert manifest.voting == {"neighbours": 40, "temperature": 0.08}
    assert "carried over" in describe_calibration(manifest)
    assert "carried over" in (root / "snapshots" / grown / "card.md").read_text(encoding="utf-8")
    with closing(open_snapshot(root, grown)) as snapshot:
        assert snapshot.calibration.calibrated
        assert snapshot.calibration.lookalikes == ((SPECIES[0], SPECIES[1], 0.5),)
        assert np.array_equal(snapshot.metric, metric)  # type: ignore[arg-type]
    assert not (root / "snapshots" / plain / METRIC).exists()
    assert not read_manifest(root, plain).calibration
