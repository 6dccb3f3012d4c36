"""Embedding on a cluster gives the same bytes as on one machine, whatever fails meanwhile."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.connection import load_ray
from fungarium.cli import main
from indexer.building.build import build_snapshot
from indexer.embedding.embed import BATCH, EmbedReport, PhotoToEmbed, embed_photos
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.errors import ClusterError
from retrieval.models.descriptor import Descriptor
from retrieval.models.handles import open_model
from retrieval.segments.segment import ReferenceEntry
from tests.catalogues import CARD, SPECIES, make_catalogue
from tests.cluster.supervised import MODEL, allow, begun, open_on_cuda, open_watched, read_noted, wait_for
from tests.indexer.collections import line, write_table
from tests.progress import Recorder

ROOT = Path(__file__).resolve().parents[2]


def draw(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 30, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def photos_below(folder: Path) -> list[PhotoToEmbed]:
    return [PhotoToEmbed(path.stem, path.read_bytes) for path in sorted(folder.iterdir())]


def write_photos(folder: Path, count: int) -> list[PhotoToEmbed]:
    folder.mkdir()
    for photo in map(draw, range(count)):
        (folder / f"{hashlib.sha256(photo).hexdigest()}.png").write_bytes(photo)
    return photos_below(folder)


def embed_here(photos: list[PhotoToEmbed], folder: Path) -> EmbedReport:
    with EmbeddingStore(folder, MODEL) as store:
        return embed_photos(photos, store, Descriptor())


def embed_there(photos: list[PhotoToEmbed], folder: Path, opener: Any = None, **options: Any) -> EmbedReport:
    from cluster.embedding import BulkRun, embed_on_cluster

    opened = opener or partial(open_model, "descriptor")
    with EmbeddingStore(folder / "there", MODEL) as store:
        return embed_on_cluster(photos, store, Descriptor(), opened, BulkRun(str(folder / "parts")), **options)


def file_of(folder: Path) -> bytes:
    return (folder / f"{MODEL}.sqlite").read_bytes()


def contents(folder: Path) -> list[Any]:
    with sqlite3.connect(folder / f"{MODEL}.sqlite") as table:
        found = [table.execute(f"SELECT * FROM {name}").fetchall() for name in ("embeddings", "failures")]
    table.close()
    return found


def parts(folder: Path) -> list[Path]:
    """Whole files; what a killed worker was writing is removed an hour later."""
    return [path for path in (folder / "parts").rglob("[!.]*") if path.is_file()]


def rows_kept(folder: Path) -> list[Path]:
    return [path for path in parts(folder) if path.stat().st_size > 1000]


def segments_of(photos: list[PhotoToEmbed], embeddings: Path, root: Path) -> dict[str, bytes]:
    """Every file of a snapshot that is built of the embeddings."""
    entries = [
        ReferenceEntry(photo.photo, 1 + place // 2, f"made:{place}", species, "Someone", "CC0-1.0", "made")
        for place, photo in enumerate(photos)
        for species in [SPECIES[place // 2 % len(SPECIES)]]
    ]
    with EmbeddingStore(embeddings, MODEL) as store:
        build_snapshot(root, make_catalogue(entries), store, CARD)
    return {str(path.relative_to(root)): path.read_bytes() for path in (root / "segments").rglob("*") if path.is_file()}


class Held:
    """Somebody on a GPU."""

    def here(self) -> None:
        """Say so."""


@contextmanager
def on_a_gpu(share: float) -> Iterator[None]:
    """Somebody holds a share of a GPU."""
    ray = load_ray()
    held = ray.remote(Held).options(num_cpus=0, num_gpus=share).remote()
    ray.get(held.here.remote(), timeout=60)
    try:
        yield
    finally:
        ray.kill(held)


def test_the_store_is_the_file_that_one_machine_writes(cluster: str, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 3 * BATCH + 7)
    (tmp_path / "photos" / f"{photos[5].photo}.png").write_bytes(draw(5)[:200])
    (tmp_path / "photos" / f"{photos[40].photo}.png").unlink()
    told = Recorder()

    here = embed_here(photos, tmp_path / "here")
    there = embed_there(photos, tmp_path, progress=told)

    assert there == here
    assert (there.embedded, there.failed, len(there.unread)) == (len(photos) - 2, 2, 1)
    assert file_of(tmp_path / "there") == file_of(tmp_path / "here")
    assert sum(told.done) == len(photos)
    assert parts(tmp_path) == []


def test_a_worker_and_then_the_driver_are_killed_and_every_photo_is_embedded_once(cluster: str, tmp_path: Path) -> None:
    watch, batches = tmp_path / "watch", 12
    photos = write_photos(tmp_path / "photos", batches * BATCH - 3)
    embed_here(photos, tmp_path / "here")
    allow(watch, 3)

    driver = subprocess.Popen([sys.executable, "-m", "tests.cluster.supervised", cluster, str(tmp_path)], cwd=ROOT)
    wait_for(lambda: len(rows_kept(tmp_path)) == 3)
    victim = begun(watch)[0]
    allow(watch, 4)
    wait_for(lambda: len(begun(watch)) == 4)
    os.kill(victim, signal.SIGKILL)
    allow(watch, 8)
    wait_for(lambda: len(begun(watch)) == 8 and len(rows_kept(tmp_path)) >= 6)
    driver.kill()
    driver.wait()
    workers = set(begun(watch)) - {victim}
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    done, before = len(rows_kept(tmp_path)), len(begun(watch))
    allow(watch, 1000)
    report = embed_there(photos, tmp_path, partial(open_watched, watch))

    assert len(set(begun(watch)) - workers - {victim}) > 0
    assert 6 <= done <= 8
    assert report == EmbedReport(len(photos) - report.already, report.already, 0)
    assert done * BATCH - 3 <= report.already <= done * BATCH
    assert len(begun(watch)) - before == batches - done  # nothing that was kept is done again
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    there = segments_of(photos, tmp_path / "there", tmp_path / "snapshots-there")
    assert there == segments_of(photos, tmp_path / "here", tmp_path / "snapshots-here")
    assert parts(tmp_path) == []


def test_a_machine_that_is_no_part_of_the_cluster_gets_the_same_file(from_outside: str, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", BATCH + 1)
    embed_here(photos, tmp_path / "here")
    allow(tmp_path / "watch", 1000)

    ran = subprocess.run([sys.executable, "-m", "tests.cluster.supervised", from_outside, str(tmp_path)], cwd=ROOT)

    assert ran.returncode == 0
    assert file_of(tmp_path / "there") == file_of(tmp_path / "here")


def test_photos_are_decoded_beside_the_models_where_these_are_on_gpus(cluster: str, nodes: Any, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 2 * BATCH)
    embed_here(photos, tmp_path / "here")
    paths = [tmp_path / "photos" / f"{photo.photo}.png" for photo in photos]
    noted = [PhotoToEmbed(path.stem, partial(read_noted, path, tmp_path / "read")) for path in paths]
    node = nodes.add_node(num_cpus=0, num_gpus=1, object_store_memory=80_000_000, include_dashboard=False)

    try:
        with on_a_gpu(0.01):  # as a shard holds one
            embed_there(noted, tmp_path, partial(open_on_cuda, tmp_path))
    finally:
        nodes.remove_node(node)

    readers, (on_gpu,) = (set((tmp_path / log).read_text().split()) for log in ("read", "inferred"))
    assert readers
    assert on_gpu not in readers
    assert file_of(tmp_path / "there") == file_of(tmp_path / "here")


def test_where_every_gpu_is_taken_the_command_ends_with_a_sentence(
    cluster: str, nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write_photos(tmp_path / "photos", 2)
    monkeypatch.setattr("cluster.embedding.GPU_WAIT", 1.0)
    node = nodes.add_node(num_cpus=0, num_gpus=1, object_store_memory=80_000_000, include_dashboard=False)

    try:
        with on_a_gpu(1), pytest.raises(ClusterError, match="no GPU of the cluster became free within 1 seconds"):
            embed_there(photos, tmp_path)
    finally:
        nodes.remove_node(node)

    assert parts(tmp_path) == []


def test_a_second_run_into_the_same_store_is_refused_and_takes_nothing_over(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
    from cluster.embedding import lock_store
    from cluster.parts import PartFiles

    photos = write_photos(tmp_path / "photos", 2)
    first = PartFiles(str(tmp_path / "parts"))
    token = first.put(b"the first run's")

    (tmp_path / "there").mkdir()

    with (
        lock_store(tmp_path / "there" / f"{MODEL}.sqlite"),
        pytest.raises(ClusterError, match="another run is embedding"),
    ):
        embed_there(photos, tmp_path)

    assert first.has(token)


def test_what_a_worker_cannot_do_is_one_sentence_and_nothing_is_half_written(cluster: str, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", BATCH + 1)

    with pytest.raises(
        ClusterError, match=r"there is no model at /nowhere/net\.onnx: check the path .reported by a worker on "
    ):
        embed_there(photos, tmp_path, partial(open_model, "onnx:/nowhere/net.onnx"))
    again = embed_there(photos, tmp_path)

    assert again == EmbedReport(len(photos), 0, 0)
    assert parts(tmp_path) == []


def test_the_commands_say_and_build_the_same_on_a_cluster(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line(f"{n}.png", observation=f"find-{n // 2}") for n in range(70)]
    table = write_table(tmp_path / "walks", rows)
    said: dict[str, str] = {}
    monkeypatch.setenv("FUNGARIUM_MODEL", "descriptor")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUNGARIUM_DATA", "imported")
    assert main(["collection", "import", "csv", str(table), "--dataset", "walks"]) == 0

    for place in ("here", "there"):
        shutil.copytree("imported", place)
        monkeypatch.setenv("FUNGARIUM_DATA", place)
        monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", f"{place}/flora_indexes")
        if place == "there":
            monkeypatch.setenv("FUNGARIUM_CLUSTER", cluster)
        capsys.readouterr()
        assert [main(["index", command]) for command in ("embed", "build", "publish", "embed")] == [0, 0, 0, 0]
        said[place] = capsys.readouterr().out

    assert said["there"] == said["here"]
    assert "70 embedded, 0 already, 0 failed" in said["here"]
    assert not Path("there/parts").exists() or not [p for p in Path("there/parts").rglob("*") if p.is_file()]


def test_a_command_without_the_setting_loads_nothing_of_the_cluster(tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", [line("a.png"), line("b.png")])
    program = f"""
import sys
from fungarium.cli import main
assert main(["collection", "import", "csv", {str(table)!r}, "--dataset", "walks"]) == 0
assert main(["index", "embed"]) == 0
print(sorted(name for name in sys.modules if name.split(".")[0] in ("ray", "cluster", "pyarrow")))
"""
    environment = {**os.environ, "FUNGARIUM_DATA": str(tmp_path / "data"), "FUNGARIUM_MODEL": "descriptor"}

    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("ray", "sentence"),
    [("missing", "pip install -r requirements-ray.txt"), ("there", "nothing answers at 127.0.0.1:9")],
)
def test_a_cluster_that_cannot_be_had_is_one_sentence_and_nothing_is_lost(
    ray: str, sentence: str, tmp_path: Path
) -> None:
    if ray == "there":
        pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
    table = write_table(tmp_path / "walks", [line("a.png"), line("b.png")])
    program = f"""
import sys
from fungarium.cli import main
assert main(["collection", "import", "csv", {str(table)!r}, "--dataset", "walks"]) == 0
if {ray!r} == "missing":
    sys.modules["ray"] = None  # an import then fails as where it is not installed
sys.exit(main(["index", "embed"]))
"""
    environment = {**os.environ, "FUNGARIUM_DATA": str(tmp_path / "data"), "FUNGARIUM_MODEL": "descriptor"}
    environment["FUNGARIUM_CLUSTER"] = "127.0.0.1:9"  # the port of a service that nobody runs

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)

    assert ran.returncode == 1
    (said,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert sentence in said
    assert "Traceback" not in ran.stderr
    with EmbeddingStore(tmp_path / "data" / "embeddings", MODEL) as store:
        assert (len(store), store.failures()) == (0, {})
