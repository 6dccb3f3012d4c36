"""The real server: gunicorn as a process, queried over loopback, and stopped by its process id."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from retrieval.snapshots.manifest import switch_current
from tests.ports import free_port
from tests.snapshots import MUSCARIA, draw_photo, drawn_references, make_snapshot
from tests.web.conftest import encode_photos

ROOT = Path(__file__).resolve().parents[2]
FIND = [draw_photo(MUSCARIA, 7), draw_photo(MUSCARIA, 7, 1)]
PATIENCE = 60  # seconds for anything at all on a busy machine


@dataclass(frozen=True)
class Running:
    """A server that listens."""

    address: str
    process: subprocess.Popen[str]
    greeting: str = ""

    def get(self, path: str, **request: Any) -> tuple[int, Any]:
        """Status and JSON of an answer, errors too."""
        try:
            with urlopen(Request(self.address + path, **request), timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def post(self, path: str, photos: Sequence[bytes], **form: Any) -> tuple[int, Any]:
        """Status and JSON of the answer to a form."""
        form = encode_photos(photos, **form)
        return self.get(path, data=form["data"], headers={"Content-Type": form["content_type"]})


def settings_for(folder: Path, port: int) -> dict[str, str]:
    """The environment of a server over the snapshots of a folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FUNGARIUM_", "GUNICORN_"))}
    return clean | {
        "FUNGARIUM_FLORA_INDEXES": str(folder / "flora_indexes"),
        "FUNGARIUM_DATA": str(folder / "data"),
        "FUNGARIUM_MODEL": "descriptor",
        "FUNGARIUM_PORT": str(port),
        "FUNGARIUM_MAX_PHOTO_BYTES": "1000000",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def serving(
    folder: Path, command: Sequence[str | Path], port: int, *, cwd: str | Path = ROOT, **settings: str
) -> Iterator[Running]:
    """A server for the time of a test; its first line says where it is, and that it listens."""
    environment = settings_for(folder, port or 8000) | settings
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    alarm = threading.Timer(PATIENCE, process.kill)  # a server that says nothing must not hang the tests
    alarm.start()
    try:
        line = process.stdout.readline()
        alarm.cancel()
        said = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert said, line + (process.stderr.read() if process.poll() is not None else "")
        assert not port or int(said[1]) == port
        yield Running(said[0], process, line)
    finally:
        alarm.cancel()
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()


def libraries(process: int) -> str:
    """What a process has mapped into its memory."""
    return Path(f"/proc/{process}/maps").read_text(encoding="utf-8")


def test_the_server_follows_a_publication_without_a_failed_request_and_ends_in_peace(tmp_path: Path) -> None:
    root = tmp_path / "flora_indexes"
    first = make_snapshot(root)
    entries, embeddings, _ = drawn_references()
    second = make_snapshot(root, entries[:-1], embeddings[:-1], publish=False)
    with serving(tmp_path, [sys.executable, "app.py"], free_port()) as server:
        status, answer = server.post("/api/v1/identify", FIND, flora="north")
        assert (status, answer["snapshot"]) == (200, first.manifest.name)
        assert answer["species"][0]["taxon"]["taxonID"] == MUSCARIA

        seen = threading.Event()

        def ask() -> list[tuple[int, str]]:
            answers: list[tuple[int, str]] = []
            while not seen.is_set() and len(answers) < 2000:
                status, answer = server.post("/api/v1/identify", FIND)
                answers.append((status, answer.get("snapshot")))
                if answers[-1][1] == second.manifest.name:
                    seen.set()
            return answers

        with ThreadPoolExecutor(3) as pool:
            running = [pool.submit(ask) for _ in range(3)]
            assert server.post("/api/v1/similar", FIND)[0] == 200
            switch_current(root, second.manifest.name)
            answers = [answer for one in running for answer in one.result(PATIENCE)]

        assert {status for status, _ in answers} == {200}
        assert {name for _, name in answers} <= {first.manifest.name, second.manifest.name}
        assert seen.is_set()
        status, health = server.get("/healthz")
        assert (status, health["snapshot"], health["status"]) == (200, second.manifest.name, "ok")

        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
        assert server.process.stderr is not None
        assert json.loads(server.greeting)["address"] == f"{server.address}/"
        said = list(server.process.stderr)
        assert all(line.startswith("{") for line in said), said
        lines = [json.loads(line) for line in said]
        assert {line["level"] for line in lines} == {"info"}
        assert {line["status"] for line in lines if line["logger"] == "web.requests"} == {200}


def test_an_upload_that_is_far_too_large_gets_its_refusal_and_no_broken_pipe(tmp_path: Path) -> None:
    make_snapshot(tmp_path / "flora_indexes")
    with serving(tmp_path, [sys.executable, "app.py"], free_port()) as server:
        status, answer = server.post("/api/v1/identify", [bytes(14_000_000)])

        assert (status, answer["status"]) == (413, 413)
        assert "all of it together" in answer["detail"]
        assert server.post("/api/v1/identify", FIND)[0] == 200


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_chunks_without_valid_sizes_are_the_clients_fault(tmp_path: Path, kind: str) -> None:
    make_snapshot(tmp_path / "flora_indexes")
    with serving(tmp_path, [sys.executable, "app.py"], free_port()) as server:
        address = urlsplit(server.address)
        head = (
            f"POST /api/v1/identify HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        with socket.create_connection((address.hostname, address.port), PATIENCE) as raw:
            raw.sendall(head.encode() + b"nonsense\r\n{}\r\n0\r\n\r\n")
            said = raw.recv(65_536).decode()

        assert said.split()[1] in {"400", "415"}, said
        assert server.post("/api/v1/identify", FIND)[0] == 200


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not say what a process has loaded")
def test_gunicorns_own_command_serves_too_and_its_arbiter_never_loads_faiss(tmp_path: Path) -> None:
    make_snapshot(tmp_path / "flora_indexes")
    command = [sys.executable, "-m", "gunicorn", "-c", "python:web.gunicorn", "--bind", "127.0.0.1:0", "--workers", "2"]
    command.append("app:create()")
    with serving(tmp_path, command, 0) as server:
        assert server.post("/api/v1/identify", FIND)[0] == 200

        arbiter = server.process.pid
        workers = Path(f"/proc/{arbiter}/task/{arbiter}/children").read_text(encoding="utf-8").split()
        loaded = [libraries(int(worker)) for worker in workers]

        assert len(workers) == 2
        assert any("faiss" in libraries_of_one for libraries_of_one in loaded)
        assert "faiss" not in libraries(arbiter)
        assert "openvino" not in libraries(arbiter)


def test_a_server_that_nothing_was_published_for_starts_and_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, [sys.executable, "app.py"], free_port()) as server:
        status, health = server.get("/healthz")

        assert (status, health["status"] in {"starting", "unavailable"}) == (503, True)
        assert server.get("/api/v1/floras")[1]["type"] == "/api/v1/docs#no-snapshot"


def test_a_misspelt_setting_is_refused_in_one_sentence(tmp_path: Path) -> None:
    environment = settings_for(tmp_path, 8000) | {"FUNGARIUM_PROT": "1"}

    ran = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )

    assert ran.returncode == 1
    assert ran.stderr.startswith("error: there is no setting FUNGARIUM_PROT; there are: ")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("argument", "status", "words"), [("--help", 0, "docs/settings.md"), ("--prot=1", 2, "--prot")]
)
def test_the_entry_point_explains_itself_and_refuses_what_it_does_not_know(
    argument: str, status: int, words: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "app.py", argument], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )

    assert ran.returncode == status
    assert words in ran.stdout + ran.stderr


def test_a_taken_port_is_told_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = settings_for(tmp_path, taken.getsockname()[1])

        ran = subprocess.run(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )

    assert ran.returncode == 1
    assert ran.stderr.startswith(f"error: the server cannot listen at 127.0.0.1, port {environment['FUNGARIUM_PORT']} ")
    assert ran.stderr.count("\n") == 1


def test_the_counts_of_several_workers_are_added_up_and_their_folder_is_removed(tmp_path: Path) -> None:
    make_snapshot(tmp_path / "flora_indexes")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with serving(
        tmp_path, [sys.executable, "app.py"], free_port(), FUNGARIUM_WORKERS="2", TMPDIR=str(temporary)
    ) as server:
        for _ in range(6):
            assert server.post("/api/v1/identify", FIND)[0] == 200
        with urlopen(server.address + "/metrics", timeout=PATIENCE) as answer:
            counts = answer.read().decode()

        assert 'fungarium_request_seconds_count{method="POST",route="/api/v1/identify",status="200"} 6.0' in counts
        assert 'model="descriptor@1"' in counts
        assert list(temporary.iterdir())
    assert not list(temporary.iterdir())


FORK = """
import os, signal, sys
import app
assert "faiss" not in sys.modules, "importing the entry point loads FAISS"
from tests.snapshots import MUSCARIA, draw_photo
from tests.web.conftest import encode_photos
application = app.create()
assert application.extensions["services"].published._holding is None, "a snapshot was opened before the fork"
assert "openvino" not in sys.modules, "a runtime was loaded before the fork"
child = os.fork()
if not child:
    signal.alarm(40)  # an index that was used before the fork hangs
    answer = application.test_client().post("/api/v1/identify", **encode_photos([draw_photo(MUSCARIA, 7)]))
    os._exit(0 if answer.status_code == 200 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_the_application_opens_no_index_and_no_model_before_a_fork_and_answers_after_it(tmp_path: Path) -> None:
    make_snapshot(tmp_path / "flora_indexes")
    environment = settings_for(tmp_path, 8000) | {"PYTHONPATH": str(ROOT)}

    ran = subprocess.run(
        [sys.executable, "-c", FORK], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )

    assert ran.returncode == 0, ran.stderr
