"""How near the embedding of a collection comes to its model: `python -m benchmarks.embedding --model HANDLE`.

Interleaved rounds of three: the bare model on views that lie in memory, decoding alone (two threads), and the whole
pipeline (read, decode, resize, infer, write). Photos are drawn here, each with bytes of its own. `--memory N` embeds N
photos and prints resident memory along the way.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image, ImageFilter

from indexer.embed import BATCH, PhotoToEmbed, embed_photos
from indexer.embeddings import EmbeddingStore
from retrieval.embedder import Embedder
from retrieval.models.handles import open_model
from retrieval.views import decode_view


def draw(seed: int, width: int, height: int) -> bytes:
    """A JPEG with edges and texture, as a photo has."""
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
    """`count` photos as files: the drawn ones in turn, each with a comment of its own behind its end."""
    for number in range(count):
        path = folder / f"{number % len(drawn)}.jpg"
        if not path.exists():
            path.write_bytes(drawn[number % len(drawn)])
        yield PhotoToEmbed(hashlib.sha256(str(number).encode()).hexdigest(), path.read_bytes)


def resident() -> float:
    """MiB of resident memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def measure(model: Embedder, drawn: list[bytes], count: int, rounds: int, folder: Path) -> dict[str, float]:
    """Medians of seconds a photo."""
    views = [decode_view(photo, model.short_side) for photo in drawn[:BATCH]]
    times: dict[str, list[float]] = {"inference": [], "decode": [], "pipeline": []}
    for number in range(rounds + 1):  # the first warms up
        start = time.perf_counter()
        for _ in range(count // len(views)):
            model.embed(views)
        bare = (time.perf_counter() - start) / (count // len(views) * len(views))
        start = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda photo: decode_view(photo.read(), model.short_side), spread(folder, drawn, count)))
        decode = (time.perf_counter() - start) / count
        start = time.perf_counter()
        with EmbeddingStore(folder / f"store{number}", model.model) as store:
            embed_photos(spread(folder, drawn, count), store, model)
        pipeline = (time.perf_counter() - start) / count
        if number:
            for name, value in (("inference", bare), ("decode", decode), ("pipeline", pipeline)):
                times[name].append(value)
    found = {name: median(values) for name, values in times.items()}
    found["share of the bare model"] = median(m / p for m, p in zip(times["inference"], times["pipeline"], strict=True))
    found["over max(decode, model)"] = median(
        p / max(m, d) for m, d, p in zip(times["inference"], times["decode"], times["pipeline"], strict=True)
    )
    return found


def watch_memory(model: Embedder, drawn: list[bytes], count: int, folder: Path) -> list[tuple[int, float]]:
    """Photos done and MiB resident, at some twenty places."""
    curve: list[tuple[int, float]] = []
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if not curve or done - curve[-1][0] >= count / 20:
            curve.append((done, round(resident(), 1)))

    with EmbeddingStore(folder / "memory", model.model) as store:
        embed_photos(spread(folder, drawn, count), store, model, advance=advance)
    return curve


def main() -> None:
    """Measure and print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="descriptor")
    parser.add_argument("--card", type=Path)
    parser.add_argument("--size", default="640x480", help="of the photos (default: %(default)s)")
    parser.add_argument("--count", type=int, default=96, help="photos a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--memory", type=int, metavar="N", help="embed N photos and watch memory instead")
    parser.add_argument("--out", type=Path, help="append the result to this file, a line of JSON")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    model = open_model(options.model, options.card)
    drawn = [draw(seed, width, height) for seed in range(BATCH)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        result: dict[str, object] = {
            "model": model.model,
            "size": options.size,
            "machine": platform.processor() or platform.machine(),
        }
        if options.memory:
            result["memory"] = watch_memory(model, drawn, options.memory, folder)
        else:
            result.update(measure(model, drawn, options.count, options.rounds, folder))
    print(json.dumps(result, indent=1))
    if options.out:
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
