"""Compares the embedding pipeline with the bare model: `python -m benchmarks.models.embedding --model HANDLE`.

Interleaved rounds measure the bare model on views in memory, decoding alone, and the whole pipeline (read, decode,
resize, infer, write). The two stages are measured with all cores each (two threads for decoding, as in the pipeline)
and with one core each. Concurrent stages cannot both have all cores: on two cores, the slower stage with one core is
the time of an ideal pipeline. Both wall-clock and processor seconds are measured; on a busy machine only processor
seconds are meaningful. Photos are synthetic and distinct. `--memory N` embeds N photos and prints the resident memory
on the way.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image, ImageFilter

from indexer.embedding.embed import BATCH, PhotoToEmbed, embed_photos
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.models.embedder import Embedder
from retrieval.models.handles import open_model
from retrieval.photos.views import decode_view


def draw(seed: int, width: int, height: int) -> bytes:
    """Draw a JPEG with edges and texture like a photo's."""
    noise = np.random.default_rng(seed)
    coarse = Image.fromarray(noise.integers(0, 256, (height // 40, width // 40, 3)).astype(np.uint8))
    fine = Image.fromarray(noise.integers(0, 256, (height, width, 3)).astype(np.uint8))
    mixed = Image.blend(
        coarse.resize((width, height), Image.Resampling.BICUBIC), fine.filter(ImageFilter.BoxBlur(2)), 0.3
    )
    written = io.BytesIO()
    mixed.save(written, "JPEG", quality=88)
    return written.getvalue()


def spread(folder: Path, drawn: list[bytes], count: int) -> Iterator[PhotoToEmbed]:
    """Yield `count` photos as files: the drawn ones in turn, each under its own digest."""
    for number in range(count):
        path = folder / f"{number % len(drawn)}.jpg"
        if not path.exists():
            path.write_bytes(drawn[number % len(drawn)])
        yield PhotoToEmbed(hashlib.sha256(str(number).encode()).hexdigest(), path.read_bytes)


def resident() -> float:
    """Return resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def cpu_seconds() -> float:
    """Return the processor seconds that this process has used, over all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def machine() -> dict[str, object]:
    """Describe the machine and its load."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "machine": names[0] if names else platform.machine(),
        "processors": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "versions": {name: version(name) for name in ("openvino", "pillow", "numpy")},
    }


def measure(
    model: Embedder, alone: Embedder, drawn: list[bytes], count: int, rounds: int, folder: Path
) -> dict[str, object]:
    """Measure wall-clock and processor milliseconds per photo: medians over rounds, and of the rounds' ratios.

    `alone` is the same model on one core.
    """
    views = [decode_view(photo, model.short_side) for photo in drawn[:BATCH]]
    number = 0

    def infer(on: Embedder) -> None:
        for _ in range(count // BATCH):
            on.embed(views)

    def decode(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda photo: decode_view(photo.read(), model.short_side), spread(folder, drawn, count)))

    def embed() -> None:
        with EmbeddingStore(folder / f"store{number}", model.model) as store:
            embed_photos(spread(folder, drawn, count), store, model)

    stages: dict[str, Callable[[], None]] = {
        "inference": lambda: infer(model),
        "decode": lambda: decode(2),
        "inference on one core": lambda: infer(alone),
        "decode on one core": lambda: decode(1),
        "pipeline": embed,
    }
    clock: dict[str, list[float]] = {name: [] for name in stages}
    processor: dict[str, list[float]] = {name: [] for name in stages}
    for number in range(rounds + 1):  # the first warms up
        for name, stage in stages.items():
            start, used = time.perf_counter(), cpu_seconds()
            stage()
            if number:
                clock[name].append(1000 * (time.perf_counter() - start) / count)
                processor[name].append(1000 * (cpu_seconds() - used) / count)

    def compare(times: dict[str, list[float]]) -> dict[str, float]:
        each = list(zip(*times.values(), strict=True))
        return {
            **{name: round(median(values), 3) for name, values in times.items()},
            "share of the bare model": round(median(m / p for m, _, _, _, p in each), 3),
            "over max(decode, model)": round(median(p / max(m, d) for m, d, _, _, p in each), 3),
            "over decode + model": round(median(p / (m + d) for m, d, _, _, p in each), 3),
        }

    waits = [p / max(m, d) for _, _, m, d, p in zip(*clock.values(), strict=True)]
    apart = {"over max(decode, model) with one core a stage": round(median(waits), 3)}
    return {"by the clock, ms a photo": compare(clock) | apart, "of the processor, ms a photo": compare(processor)}


def watch_memory(model: Embedder, drawn: list[bytes], count: int, folder: Path) -> list[tuple[int, float]]:
    """Record the photos done and the resident MiB about twenty times."""
    curve: list[tuple[int, float]] = []
    embedded = 0

    def watch(_: str, done: int = 0, total: int = 0) -> None:
        nonlocal embedded
        embedded += done
        if not curve or embedded - curve[-1][0] >= count / 20:
            curve.append((embedded, round(resident(), 1)))

    with EmbeddingStore(folder / "memory", model.model) as store:
        embed_photos(spread(folder, drawn, count), store, model, progress=watch)
    return curve


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="descriptor")
    parser.add_argument("--card", type=Path)
    parser.add_argument("--size", default="640x480", help="of the photos (default: %(default)s)")
    parser.add_argument("--count", type=int, default=96, help="photos a round, by 32 (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--memory", type=int, metavar="N", help="embed N photos and watch memory instead")
    parser.add_argument("--out", type=Path, help="append the result to this file, a line of JSON")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    model = open_model(options.model, options.card)
    alone = open_model(options.model, options.card, threads=1)
    drawn = [draw(seed, width, height) for seed in range(BATCH)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        result: dict[str, object] = {
            "model": model.model,
            "size": options.size,
            **machine(),
            "photos": options.count,
            "rounds": options.rounds,
        }
        if options.memory:
            result["memory"] = watch_memory(model, drawn, options.memory, folder)
        else:
            result.update(measure(model, alone, drawn, options.count, options.rounds, folder))
    print(json.dumps(result, indent=1))
    if options.out:
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
