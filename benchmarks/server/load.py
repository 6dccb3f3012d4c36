"""Load test: identifying one photo at concurrency 1, 8 and 64, against serial processing without batches.

    python -m benchmarks.server.load [--model onnx:PATH] [--seconds 5] [--rounds 3] [--json FILE]

Two servers run side by side: `serial` has one worker with one thread and batches of one photo, so that it processes one
request at a time, while its model uses all cores; `shared` is the server with its default settings. Both are measured
in alternating rounds, so that other load affects both. The client is one process with threads on the same
cores and keep-alive connections. Every request has a photo that is in no cache: the same image with different
trailing bytes.

Besides throughput, the server's processor time per answer is measured, which depends much less on other load. `serial`
can never use more than one core outside the model.

On a busy machine, Linux gives each session an equal share (autogroup), so that two workers in one
session get no more than one: `--apart` gives each worker its own session.

Targets: `shared` at concurrency 64 has at least 1.5 times the throughput of `serial`; no error but 503 above
the queue limit; 99 of 100 answers within the deadline. `benchmarks/server/load_memory.py` measures memory.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.server.http_cost import absolute_handle, draw_snapshot, encode_form
from retrieval.models.handles import open_model
from tests.snapshots import COLOURS, draw_photo
from web.gunicorn import count_workers

ROOT = Path(__file__).resolve().parents[2]
PROMISE = 1.5
DEADLINE = 10  # seconds, of both servers
CONCURRENCIES = (1, 8, 64)
PACKAGES = ("flask", "gunicorn", "openvino", "faiss-cpu", "numpy", "pillow")
EDGE = "fungarium-benchmark"
SERIAL = {"FUNGARIUM_WORKERS": "1", "FUNGARIUM_THREADS": "1", "FUNGARIUM_BATCH": "1"}
numbers = itertools.count()


@dataclass
class Seen:
    """The client's measurements."""

    seconds: list[float] = field(default_factory=list)  # of answers with status 200
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0  # connections that ended without an answer
    wall: float = 0.0
    processor: float = 0.0  # seconds of the server's processes
    own: float = 0.0  # seconds of the client

    @property
    def rate(self) -> float:
        """Return answers per second."""
        return len(self.seconds) / self.wall

    @property
    def cost(self) -> float:
        """Return the server's processor time per answer, in milliseconds."""
        return 1000 * self.processor / max(1, len(self.seconds))

    def quantile(self, share: float) -> float:
        """Return a quantile of the latency in milliseconds."""
        return 1000 * float(np.quantile(self.seconds, share)) if self.seconds else float("nan")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if a target is missed."""
    options = make_parser().parse_args(arguments)
    embedder = open_model(options.model, options.card)
    photo = draw_photo(next(iter(COLOURS)), 1000, side=options.side)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        indexes = options.indexes or draw_snapshot(Path(folder), embedder)
        serial = running.enter_context(serving(indexes, options, options.port, SERIAL))
        shared = running.enter_context(serving(indexes, options, options.port + 1, {}))
        measured = measure(photo, options, serial, shared)
        measured["above_the_bound"] = press(photo, options, indexes)
    report = describe(options, embedder.model) | {
        "photo_bytes": len(photo),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "deadline_seconds": DEADLINE,
    }
    report |= measured
    print_report(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if report["kept"] else 1


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server.load", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="default", help="model handle (default: %(default)s)")
    parser.add_argument("--card", type=Path, help="the model's card, if it is not beside it")
    parser.add_argument("--indexes", type=Path, help="folder of published snapshots made with the model")
    parser.add_argument("--side", type=int, default=480, help="pixels of the photo (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of all measurements (default: %(default)s)")
    parser.add_argument("--apart", action="store_true", help="each worker in a session of its own")
    parser.add_argument("--port", type=int, default=8941, help="first of three ports (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write the report to as JSON")
    return parser


@contextmanager
def serving(
    indexes: Path, options: argparse.Namespace, port: int, settings: dict[str, str]
) -> Iterator[tuple[int, int]]:
    """Run a server as a separate process; yields its port and process id once it listens."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FUNGARIUM_")} | {
        "FUNGARIUM_FLORA_INDEXES": str(indexes.resolve()),
        "FUNGARIUM_MODEL": absolute_handle(options.model),
        "FUNGARIUM_MODEL_CARD": str(options.card.resolve()) if options.card else "",
        "FUNGARIUM_PORT": str(port),
        "FUNGARIUM_DEADLINE": str(DEADLINE),
        "FUNGARIUM_LOG_LEVEL": "warning",
        **settings,
    }
    command = [sys.executable, "app.py"]
    if options.apart:
        command = [sys.executable, "-m", "gunicorn", "-c", "python:benchmarks.server.gunicorn_apart", "app:create()"]
        command += ["--bind", f"127.0.0.1:{port}", "--threads", settings.get("FUNGARIUM_THREADS", "80")]
        command += ["--workers", settings.get("FUNGARIUM_WORKERS", str(count_workers()))]
    process = subprocess.Popen(  # noqa: S603 - our own server
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=options.apart
    )
    assert process.stdout is not None
    try:
        if not process.stdout.readline():  # its first line tells that it is listening
            raise SystemExit("the server did not start")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def ask(
    server: tuple[int, int], photo: bytes, concurrency: int, *, seconds: float = 0, requests: int = 0, photos: int = 1
) -> Seen:
    """Send requests from `concurrency` threads for some seconds or a number of requests, each thread one at a time."""
    port, pid = server
    seen, guard = Seen(), threading.Lock()
    left = itertools.count()
    end = time.perf_counter() + seconds if seconds else float("inf")

    def one() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4 * DEADLINE)
        headers = {"Content-Type": f"multipart/form-data; boundary={EDGE}"}
        while time.perf_counter() < end and (not requests or next(left) < requests):
            body = encode_form(  # trailing bytes give each photo another digest
                [photo + next(numbers).to_bytes(8, "big") for _ in range(photos)]
            )
            start = time.perf_counter()
            try:
                connection.request("POST", "/api/v1/identify", body, headers)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                with guard:
                    seen.broken += 1
                connection.close()
                continue
            taken = time.perf_counter() - start
            with guard:
                seen.statuses[answer.status] += 1
                if answer.status == 200:
                    seen.seconds.append(taken)
            if answer.status == 503:
                time.sleep(0.05)  # back off briefly
        connection.close()

    own = time.process_time()
    started, spent = time.perf_counter(), processor_seconds(pid)
    threads = [threading.Thread(target=one) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen.own = time.process_time() - own
    seen.wall, seen.processor = time.perf_counter() - started, processor_seconds(pid) - spent
    return seen


def measure(
    photo: bytes, options: argparse.Namespace, serial: tuple[int, int], shared: tuple[int, int]
) -> dict[str, Any]:
    """Measure throughput and latency of both servers at each concurrency, in alternating rounds."""
    ways = [("serial", serial, concurrency) for concurrency in (1, 8)]
    ways += [("shared", shared, concurrency) for concurrency in CONCURRENCIES]
    seen: dict[tuple[str, int], list[Seen]] = {(name, concurrency): [] for name, _, concurrency in ways}
    for _, server, concurrency in ways:
        ask(server, photo, concurrency, seconds=3)  # warm up: networks are prepared for each batch size
    for number in range(options.rounds):
        for name, server, concurrency in ways if number % 2 else reversed(ways):
            seen[name, concurrency].append(ask(server, photo, concurrency, seconds=options.seconds))
            print(
                f"round {number + 1}: {name} at {concurrency}: {seen[name, concurrency][-1].rate:.1f}/s, "
                f"{seen[name, concurrency][-1].cost:.1f} ms of a processor each",
                file=sys.stderr,
            )
    lines: list[dict[str, Any]] = []
    for (name, concurrency), rounds in seen.items():
        lines.append(
            {
                "server": name,
                "concurrency": concurrency,
                "per_second": round(statistics.median(one.rate for one in rounds), 2),
                "per_second_of_rounds": [round(one.rate, 2) for one in rounds],
                "processor_ms": round(statistics.median(one.cost for one in rounds), 2),
                "p50_ms": round(statistics.median(one.quantile(0.5) for one in rounds), 1),
                "p99_ms": round(max(one.quantile(0.99) for one in rounds), 1),
                "statuses": dict(sum((one.statuses for one in rounds), Counter())),
                "broken": sum(one.broken for one in rounds),
            }
        )
    best = [max(seen[name, c][r].rate for name, c in seen if name == "serial") for r in range(options.rounds)]
    ratios = [seen["shared", 64][number].rate / best[number] for number in range(options.rounds)]
    answered = sum(len(one.seconds) for one in seen["shared", 64])
    cheapest = min(line["processor_ms"] for line in lines if line["server"] == "serial")
    return {
        "lines": lines,
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(r, 3) for r in ratios],
        "apart": options.apart,
        "autogroup": autogroup(),
        "client_ms": round(1000 * sum(one.own for one in seen["shared", 64]) / answered, 2),
        "processor_ratio": round(lines[-1]["processor_ms"] / cheapest, 3),
    }


def press(photo: bytes, options: argparse.Namespace, indexes: Path) -> dict[str, Any]:
    """Overload a server of two workers with a queue of 8 each by 64 clients; count refusals, and time other answers."""
    bound = {"FUNGARIUM_QUEUE": "8", "FUNGARIUM_WORKERS": "2"}
    with serving(indexes, options, options.port + 2, bound) as server:
        ask(server, photo, 2, seconds=1)
        seen = ask(server, photo, 64, seconds=options.seconds)
    return {
        "queue": 16,
        "concurrency": 64,
        "statuses": dict(seen.statuses),
        "broken": seen.broken,
        "per_second": round(seen.rate, 2),
        "p99_ms": round(seen.quantile(0.99), 1),
    }


def processor_seconds(pid: int) -> float:
    """Return the user and system time of a process and its children, in seconds."""
    return sum(
        sum(map(int, Path(f"/proc/{one}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]))
        for one in family(pid)
    ) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return the ids of a process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split())]


def autogroup() -> bool:
    """Return whether Linux gives each session an equal share of the machine."""
    path = Path("/proc/sys/kernel/sched_autogroup_enabled")
    return path.exists() and path.read_text(encoding="utf-8").strip() == "1"


def describe(options: argparse.Namespace, model: str) -> dict[str, Any]:
    """Return the options and the machine."""
    return {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "model": model,
    }


def print_report(report: dict[str, Any]) -> None:
    """Print the report, with the targets and whether they were met."""
    packages = ", ".join(f"{name} {number}" for name, number in report["packages"].items())
    print(f"{report['machine']}, load {report['load_before'][0]}; Python {report['python']}, {packages}")
    print(f"model {report['model']}, a photo of {report['photo_bytes']} bytes, {report['rounds']} rounds")
    print("server  concurrency  answers/s  processor ms   p50 ms    p99 ms  statuses")
    for line in report["lines"]:
        print(
            f"{line['server']:7} {line['concurrency']:11} {line['per_second']:10.1f} {line['processor_ms']:13.1f} "
            f"{line['p50_ms']:8.1f} {line['p99_ms']:9.1f}  {line['statuses']}"
        )
    print(
        f"processor time for an answer, shared at 64 / serial: {report['processor_ratio']:.2f}; "
        f"of the client: {report['client_ms']} ms"
    )
    pressed = report["above_the_bound"]
    kept = {
        f"shared at 64 / best of serial = {report['ratio']:.2f}, at least {PROMISE}": report["ratio"] >= PROMISE,
        "no error below the bound": all(set(one["statuses"]) == {200} and not one["broken"] for one in report["lines"]),
        f"nothing but 200 and 503 above the bound: {pressed['statuses']}": set(pressed["statuses"]) <= {200, 503}
        and not pressed["broken"],
        f"p99 within the deadline of {DEADLINE} s": max(one["p99_ms"] for one in (*report["lines"], pressed))
        <= 1000 * DEADLINE,
    }
    for words, held in kept.items():
        print(f"{'kept  ' if held else 'BROKEN'}  {words}")
    report["kept"] = all(kept.values())


if __name__ == "__main__":
    sys.exit(main())
