"""Floras on GPUs: the same answers as on the CPU, bounded memory, and a reported fallback if a GPU fails.

The same suite runs over a small device made of NumPy, and over GPUs where there are any.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.devices.accelerator import ROW_BYTES, HotFloras
from retrieval.devices.device_lists import NUMBER_BYTES, HotLists, deal_lists
from retrieval.devices.faiss_gpu import count_gpus, open_accelerator
from retrieval.domain import WORLD
from retrieval.models.embedder import unit_rows
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from retrieval.snapshots.withdrawals import withdraw_photos
from tests.floras import embed, make_entries, publish
from tests.retrieval.devices.devices import Devices, NumpyDevice, gpu_devices, numpy_devices

ENTRIES = make_entries()
ROWS = embed(ENTRIES)
QUERIES = unit_rows(ROWS[::31] + 0.05 * np.random.default_rng(6).normal(size=ROWS[::31].shape))


@pytest.fixture(params=[numpy_devices, gpu_devices], ids=["numpy", "gpu"])
def devices(request: pytest.FixtureRequest) -> Devices:
    make: Devices = request.param
    return make


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    root = tmp_path_factory.mktemp("accelerator")
    publish(root, ENTRIES, segments=2)
    withdraw_photos(root, [entry.photo for entry in ENTRIES[::7]])
    return open_snapshot(root)


@pytest.mark.parametrize("accelerate", [HotFloras, HotLists])
@pytest.mark.parametrize(("count", "room"), [(1, 10_000), (2, 10_000), (2, 300)])
def test_answers_are_those_of_the_cpu_to_the_last_bit(
    snapshot: Snapshot, devices: Devices, count: int, room: int, accelerate: type[HotFloras] | type[HotLists]
) -> None:
    floras = [snapshot.flora(card.id) for card in snapshot.floras]
    floras += [snapshot.flora_of([11, 12]), snapshot.flora(WORLD).under(["CC0-1.0"])]
    expected = [flora.search(QUERIES, 20) for flora in floras]
    hot = snapshot.shelf.accelerator = accelerate(devices(count, room))

    found = [flora.search(QUERIES, 20) for flora in floras]

    snapshot.shelf.accelerator = None
    assert "cpu" not in hot.description
    for here, there in zip(found, expected, strict=True):
        assert np.array_equal(here.rows, there.rows)
        assert np.array_equal(here.similarities, there.similarities)


def test_a_flora_is_loaded_once_and_the_coldest_makes_room(snapshot: Snapshot) -> None:
    device = NumpyDevice(0, 400 * ROW_BYTES)
    hot = HotFloras([device])
    north, few, south = (snapshot.flora(flora) for flora in ("north", "few", "south"))
    sizes = {flora.card.id: flora.card.references for flora in (north, few, south)}
    assert sizes["north"] + sizes["few"] <= 400 < sizes["north"] + sizes["few"] + sizes["south"]

    for flora in (north, few, north, south, few, north):
        assert hot.choose(flora.key, flora.parts(), QUERIES[:1], 5) is not None

    loaded = ("north", "few", "south", "few", "north")  # south made both others leave, and north south
    assert device.loads == [sizes[flora] for flora in loaded]
    assert "2 floras" in hot.description


def test_a_flora_larger_than_all_devices_is_left_to_the_cpu(snapshot: Snapshot) -> None:
    hot = HotFloras(numpy_devices(2, 50))
    world = snapshot.flora(WORLD)

    assert hot.choose(world.key, world.parts(), QUERIES, 5) is None
    assert "numpy0" in hot.description


def test_more_neighbours_than_a_gpu_gives_are_left_to_the_cpu(snapshot: Snapshot) -> None:
    world = snapshot.flora(WORLD)

    assert HotFloras(numpy_devices(1, 10_000)).choose(world.key, world.parts(), QUERIES, 2_040) is None


def test_a_device_that_fails_is_said_in_the_log_and_done_without(
    snapshot: Snapshot, caplog: pytest.LogCaptureFixture
) -> None:
    device = NumpyDevice(0, 10_000 * ROW_BYTES)
    device.broken = True
    world = snapshot.flora(WORLD)
    expected = world.search(QUERIES, 20)
    hot = snapshot.shelf.accelerator = HotFloras([device])

    found = world.search(QUERIES, 20)

    snapshot.shelf.accelerator = None
    assert np.array_equal(found.rows, expected.rows)
    assert hot.description == "cpu: the GPU failed and is not used any more: out of memory"
    assert "searched on the CPU" in caplog.text


def test_lists_are_loaded_once_for_all_floras_and_shared_among_devices(snapshot: Snapshot) -> None:
    devices = [NumpyDevice(number, 400 * (ROW_BYTES + NUMBER_BYTES)) for number in range(2)]
    hot = HotLists(devices)

    for flora in ("north", "few", WORLD, "south"):
        chosen = snapshot.flora(flora)
        assert hot.choose(chosen.key, chosen.parts(), QUERIES[:3], 5) is not None

    loaded = [sum(device.loads) for device in devices]
    assert sum(loaded) == sum(segment.rows for segment in snapshot.segments)
    assert min(loaded) > sum(loaded) / 4


def test_a_collection_larger_than_all_devices_is_left_to_the_cpu(snapshot: Snapshot) -> None:
    world = snapshot.flora(WORLD)

    assert HotLists(numpy_devices(2, 50)).choose(world.key, world.parts(), QUERIES, 5) is None


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.lists(st.integers(0, 200), min_size=1, max_size=4))
def test_each_list_is_dealt_to_one_device_that_has_room(sizes: list[int], room: list[int]) -> None:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    dealt = deal_lists(offsets, [rows * (ROW_BYTES + NUMBER_BYTES) for rows in room])

    if dealt is None:
        assert offsets[-1] >= sum(room) - len(room) * max(sizes)
    else:
        assert [first for _, first, _ in dealt] == [0, *(last for _, _, last in dealt)][: len(dealt)]
        assert dealt[-1][2] == len(sizes) if dealt else offsets[-1] == 0
        assert all(offsets[last] - offsets[first] <= room[device] for device, first, last in dealt)


def test_what_a_closed_snapshot_had_on_a_device_makes_room(snapshot: Snapshot) -> None:
    hot = HotFloras(numpy_devices(1, 10_000))
    free = hot.description
    north = snapshot.flora("north")
    assert hot.choose(north.key, north.parts(), QUERIES[:1], 5) is not None

    hot.forget("another")
    assert "1 floras" in hot.description
    hot.forget(snapshot.edition)

    assert hot.description == free


@pytest.mark.parametrize("keeps", ["floras", "lists"])
def test_a_gpu_that_was_asked_for_and_is_not_there_is_said(keeps: str) -> None:
    assert open_accelerator(keeps, 0) is None
    if count_gpus():
        pytest.skip("there are GPUs here")
    accelerator = open_accelerator(keeps, 1_000_000)
    assert accelerator is not None
    assert accelerator.description == "cpu: no GPU is available"


def test_without_a_gpu_it_is_the_cpu_and_says_so() -> None:
    assert HotFloras([]).description == "cpu: no GPU is available"


def test_a_flora_of_another_snapshot_or_licence_has_another_key(snapshot: Snapshot, tmp_path: Path) -> None:
    publish(tmp_path, ENTRIES[:100])
    world = snapshot.flora(WORLD)

    keys = {
        world.key,
        world.under(["CC0-1.0"]).key,
        snapshot.flora("north").key,
        open_snapshot(tmp_path).flora("north").key,
    }

    assert len(keys) == 4
    assert replace(world).key == world.key


def test_looking_for_gpus_ends_no_process() -> None:
    """faiss-gpu without a GPU aborts the process when asked the wrong way; see PACKAGES and `count_gpus`."""
    code = "import logging; from retrieval.devices import faiss_gpu; logging.basicConfig(level=20)"
    code += "; print(len(faiss_gpu.find_devices(1)))"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())

    assert int(ran.stdout) == count_gpus()
    if not count_gpus():
        assert "searched on the CPU" in ran.stderr
