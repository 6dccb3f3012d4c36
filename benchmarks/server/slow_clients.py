"""Slow clients in front of the documented proxy: does the server still answer others at once?

    python -m benchmarks.server.slow_clients [--seconds 20] [--json FILE]

nginx runs with `deployment/nginx.conf`, of which only the port, the certificate and the logs are replaced, and the
server with its default settings. 400 clients send the header of a request byte by byte, 400 the body of an upload, and
200 read an archive of observations slowly. Target: `/healthz` in less than a second, always. Needs nginx (Debian:
nginx-light).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

from benchmarks.machine import describe_machine
from benchmarks.server.load import serving
from tests.ports import free_port
from tests.snapshots import make_snapshot

SITE = Path(__file__).resolve().parents[2] / "deployment" / "nginx.conf"
TARGET = 1.0  # seconds
ARCHIVE_BYTES = 50_000_000
HEADERS, BODIES, READERS = 400, 400, 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if the target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server.slow_clients",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=20, help="of watching (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, rehearsed(Path(folder)) as port:
        quiet = [ask_health(port) for _ in range(5)]
        with slow_clients(port, HEADERS, BODIES, READERS) as clients:
            seconds = []
            end = time.monotonic() + options.seconds
            while time.monotonic() < end:
                seconds.append(ask_health(port))
                time.sleep(0.2)
            held = clients.held
    report = {
        "machine": describe_machine(),
        "load": os.getloadavg(),
        "clients": {"headers": HEADERS, "bodies": BODIES, "readers": READERS, "held_at_the_end": held},
        "quiet_seconds": max(quiet),
        "slowest_seconds": max(seconds),
        "answers": len(seconds),
        "kept": max(seconds) < TARGET,
    }
    print(json.dumps(report, indent=1))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if report["kept"] else 1


@contextmanager
def rehearsed(folder: Path) -> Iterator[int]:
    """Run the server behind nginx, with an archive to read; yields nginx's port."""
    make_snapshot(folder / "flora_indexes")
    exports = folder / "data" / "exports"
    exports.mkdir(parents=True)
    with (exports / "fungi.zip").open("wb") as archive:
        archive.truncate(ARCHIVE_BYTES)
    plain = argparse.Namespace(model="descriptor", card=None, apart=False)
    settings = {"FUNGARIUM_DATA": str(folder / "data"), "FUNGARIUM_PROXIES": "1"}
    with (
        serving(folder / "flora_indexes", plain, free_port(), settings) as (behind, _),
        proxied(folder, behind) as port,
    ):
        end = time.monotonic() + 60
        while time.monotonic() < end:  # until the snapshot is open
            with suppress(OSError):
                ask_health(port)
                break
            time.sleep(0.1)
        yield port


@contextmanager
def proxied(folder: Path, behind: int) -> Iterator[int]:
    """Run nginx with the shipped site in front of a port; yields its own."""
    port, binary = free_port(), shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None:
        raise FileNotFoundError("nginx is not installed (Debian: apt-get install nginx-light)")
    site = SITE.read_text(encoding="utf-8").replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{behind}").replace("/var/log/nginx", str(folder))
    site = site.replace("/var/lib/fungarium", str(folder))
    site = re.sub(r"^ *ssl_certificate.*\n", "", site, flags=re.MULTILINE)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"{user} daemon off; master_process on; worker_processes 1; pid {folder}/nginx.pid;\n"
        f"worker_rlimit_nofile 8192; events {{ worker_connections 4096; }}\nhttp {{\n{temporary}\n{site}\n}}\n",
        encoding="utf-8",
    )
    command = [binary, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)]
    process = subprocess.Popen(command)  # noqa: S603 - the machine's own nginx
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Wait until something listens at a port; raises ConnectionError if the process ends, or after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise ConnectionError("nginx did not start")


def ask_health(port: int, timeout: float = 60) -> float:
    """Ask for the server's health; returns the seconds it took."""
    started = time.monotonic()
    with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=timeout) as answer:
        answer.read()
    return time.monotonic() - started


class SlowClients:
    """Connections that send or read a byte at a time."""

    def __init__(self, port: int, headers: int, bodies: int, readers: int) -> None:
        self.port = port
        self.stop = threading.Event()
        self.ready = threading.Event()
        upload = "POST /api/v1/identify HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        self.wanted = [("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", True)] * headers
        self.wanted += [(upload + "Content-Length: 100000\r\n\r\n", True)] * bodies
        self.wanted += [("GET /api/v1/exports/fungi.zip HTTP/1.1\r\nHost: a\r\n\r\n", False)] * readers
        self.held = 0

    def run(self) -> None:
        """Open all connections, then give each a byte a second; those that are closed are opened again."""
        held: list[socket.socket | None] = [None] * len(self.wanted)
        while not self.stop.is_set():
            for place, (start, sends) in enumerate(self.wanted):
                try:
                    if held[place] is None:
                        held[place] = self.open(start, sends=sends)
                    elif sends:
                        held[place].send(b"a")  # type: ignore[union-attr]
                    else:
                        held[place].recv(1)  # type: ignore[union-attr]
                except BlockingIOError:
                    continue
                except OSError:
                    if (closed := held[place]) is not None:
                        closed.close()
                    held[place] = None
            self.held = sum(one is not None for one in held)
            self.ready.set()
            self.stop.wait(1)
        for one in held:
            if one is not None:
                one.close()

    def open(self, start: str, *, sends: bool) -> socket.socket:
        """Open a connection and send the start of a request."""
        made = socket.socket()
        if not sends:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.settimeout(5)
        made.connect(("127.0.0.1", self.port))
        made.sendall(start.encode())
        made.setblocking(False)
        return made


@contextmanager
def slow_clients(port: int, headers: int, bodies: int, readers: int) -> Iterator[SlowClients]:
    """Keep so many slow clients, once all of them have connected."""
    clients = SlowClients(port, headers, bodies, readers)
    thread = threading.Thread(target=clients.run, daemon=True)
    thread.start()
    clients.ready.wait(60)
    try:
        yield clients
    finally:
        clients.stop.set()
        thread.join(60)


if __name__ == "__main__":
    sys.exit(main())
