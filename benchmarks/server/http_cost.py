"""Measures the overhead of HTTP: identifying three photos on the server, against decoding and embedding in-process.

    python -m benchmarks.server.http_cost --model onnx:PATH [--card CARD] [--indexes FOLDER] [--photos A] [--json FILE]

The server runs with its default command. Rounds alternate between the two, in alternating order, so
that other load affects both. Without --indexes, a snapshot of drawn references is made.
Target: a ratio of medians of at most 1.10 with EfficientNet-B4 at 380 x 380 pixels.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from retrieval.models.embedder import Embedder
from retrieval.models.handles import open_model
from retrieval.photos.views import PhotoLimits, decode_views
from tests.snapshots import COLOURS, draw_photo, drawn_references, make_snapshot
from web.gunicorn import count_cores

ROOT = Path(__file__).resolve().parents[2]
PROMISE = 1.10
WARM_UP = 3  # rounds that are not counted
PACKAGES = ("flask", "gunicorn", "openvino", "faiss-cpu", "numpy", "pillow")
EDGE = "fungarium-benchmark"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if the target is missed."""
    options = make_parser().parse_args(arguments)
    embedder = open_model(options.model, options.card)
    photos = [path.read_bytes() for path in options.photos] or draw_photos(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        indexes = options.indexes or draw_snapshot(Path(folder), embedder)
        with serving(indexes, options) as port:
            measured = measure(photos, embedder, port, options.rounds)
    report = describe(options, embedder, photos) | measured
    print_report(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if measured["ratio"] <= PROMISE else 1


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server.http_cost", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="descriptor", help="model handle (default: %(default)s)")
    parser.add_argument("--card", type=Path, help="the model's card, if it is not beside it")
    parser.add_argument("--indexes", type=Path, help="folder of published snapshots made with the model")
    parser.add_argument("--photos", type=Path, nargs=3, default=[], help="three photos to identify (default: drawn)")
    parser.add_argument("--rounds", type=int, default=30, help="rounds that count (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8931, help="port for the server (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the drawn photos (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write the report to as JSON")
    return parser


def draw_photos(seed: int) -> list[bytes]:
    """Draw three photos of one observation, at the size that phones send after scaling."""
    return [draw_photo(next(iter(COLOURS)), 1000 + seed, number, side=1200) for number in range(3)]


def draw_snapshot(folder: Path, embedder: Embedder) -> Path:
    """Make a snapshot of the tests' drawn references, embedded with the measured model."""
    entries, _, drawn = drawn_references()
    embeddings = embedder.embed(decode_views([drawn[e.photo] for e in entries], embedder.short_side, unlimited()))
    make_snapshot(folder, entries, embeddings, card=embedder.card)
    return folder


def unlimited() -> PhotoLimits:
    """Return limits that accept any number of our own photos."""
    return PhotoLimits(photos=1_000_000)


@contextmanager
def serving(indexes: Path, options: argparse.Namespace) -> Iterator[int]:
    """Run the server as a separate process, and yield its port once it listens."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FUNGARIUM_")} | {
        "FUNGARIUM_FLORA_INDEXES": str(indexes.resolve()),
        "FUNGARIUM_MODEL": absolute_handle(options.model),
        "FUNGARIUM_MODEL_CARD": str(options.card.resolve()) if options.card else "",
        "FUNGARIUM_PORT": str(options.port),
        "FUNGARIUM_CORES": str(count_cores()),  # as many as the model uses in this process
    }
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():  # its first line tells that it is listening
            raise SystemExit("the server did not start")
        yield options.port
    finally:
        process.terminate()
        process.wait()


def absolute_handle(handle: str) -> str:
    """Make the path in a model handle absolute."""
    kind, colon, path = handle.partition(":")
    return f"{kind}:{Path(path).expanduser().resolve()}" if colon else handle


def measure(photos: Sequence[bytes], embedder: Embedder, port: int, rounds: int) -> dict[str, Any]:
    """Time both in each round, in milliseconds; return medians and their ratio."""
    body = encode_form(photos)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def over_http() -> None:
        connection.request("POST", "/api/v1/identify", body, {"Content-Type": f"multipart/form-data; boundary={EDGE}"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"the server answered {answer.status}: {content[:500]!r}")

    def in_process() -> None:
        embedder.embed(decode_views(photos, embedder.short_side))

    taken: dict[str, list[float]] = {"http": [], "embedding": []}
    ways: list[tuple[str, Callable[[], None]]] = [("http", over_http), ("embedding", in_process)]
    for number in range(WARM_UP + rounds):
        for name, way in ways if number % 2 else reversed(ways):
            start = time.perf_counter()
            way()
            if number >= WARM_UP:
                taken[name].append(1000 * (time.perf_counter() - start))
    connection.close()
    http_median, embedding_median = statistics.median(taken["http"]), statistics.median(taken["embedding"])
    return {
        "http_ms": round(http_median, 2),
        "embedding_ms": round(embedding_median, 2),
        "ratio": round(http_median / embedding_median, 4),
        "ratio_of_rounds": round(
            statistics.median(a / b for a, b in zip(taken["http"], taken["embedding"], strict=True)), 4
        ),
        "promised_ratio": PROMISE,
        "rounds_ms": {name: [round(value, 2) for value in values] for name, values in taken.items()},
    }


def encode_form(photos: Sequence[bytes]) -> bytes:
    """Encode the photos as a multipart form."""
    parts = [
        f'--{EDGE}\r\nContent-Disposition: form-data; name="photos"; filename="{number}.jpg"\r\n\r\n'.encode() + photo
        for number, photo in enumerate(photos)
    ]
    return b"\r\n".join([*parts, f"--{EDGE}--\r\n".encode()])


def describe(options: argparse.Namespace, embedder: Embedder, photos: Sequence[bytes]) -> dict[str, Any]:
    """Return the options and the machine."""
    return {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "model": embedder.model,
        "photo_bytes": [len(photo) for photo in photos],
        "rounds": options.rounds,
        "seed": options.seed,
    }


def print_report(report: dict[str, Any]) -> None:
    """Print the report."""
    packages = ", ".join(f"{name} {number}" for name, number in report["packages"].items())
    print(f"{report['machine']}; Python {report['python']}, {packages}")
    print(f"model {report['model']}, photos of {report['photo_bytes']} bytes, seed {report['seed']}")
    print(f"embedding in this process  {report['embedding_ms']:9.2f} ms  (median of {report['rounds']} rounds)")
    print(f"identify over HTTP         {report['http_ms']:9.2f} ms")
    print(f"ratio                      {report['ratio']:9.3f}     (promised: at most {PROMISE:.2f})")
    print(f"median of rounds' ratios   {report['ratio_of_rounds']:9.3f}")


if __name__ == "__main__":
    sys.exit(main())
