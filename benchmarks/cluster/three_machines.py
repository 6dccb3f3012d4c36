"""Rehearses docs/scale.md with three machines and a fourth outside, some of which fail. Needs root and iproute2.

    python -m benchmarks.cluster.three_machines --work /tmp/three --results benchmarks/results

The machines are Linux namespaces: each has its own network address, processes, host name, home, /tmp and /dev/shm,
and shares the program and one folder under the same paths. The commands are those of the page.
Photos are embedded once without failures and once while a machine is lost. Then two servers, one on a node and one
outside with ray://, are queried continuously while a machine is lost, and while the head node is lost and restarted
without its state.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine

ROOT = Path(__file__).resolve().parents[2]
BRIDGE, NETWORK = "fungarium0", "10.77.0"
RUN = "python -m fungarium"
HEAD = f"{NETWORK}.1"
PROGRAM, FOLDER = "/opt/fungarium", "/srv/fungarium"
RAY = {
    "PYTHONPATH": PROGRAM,
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
LEAD = f"ray start --head --node-ip-address={HEAD} --port=6390 --ray-client-server-port=10001 --include-dashboard=false"
FUNGARIUM = {"FUNGARIUM_DATA": f"{FOLDER}/data", "FUNGARIUM_FLORA_INDEXES": f"{FOLDER}/flora_indexes"}
ASK = """
import json, sys, time, urllib.error, urllib.request, uuid
photo, edge = open(sys.argv[1], "rb").read(), uuid.uuid4().hex
head = f'--{edge}\\r\\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\\r\\n\\r\\n'.encode()
kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
while True:
    body = head + photo + uuid.uuid4().bytes + f"\\r\\n--{edge}--\\r\\n".encode()  # no answer is remembered
    started = time.time()
    try:
        asked = urllib.request.Request("http://127.0.0.1:8000/api/v1/identify", body, kind)
        with urllib.request.urlopen(asked, timeout=60) as reply:
            first = json.load(reply)["species"][0]
            said = [reply.status, first["taxon"]["scientificName"], first["score"]]
    except urllib.error.HTTPError as error:
        said = [error.code]
    except OSError as error:
        said = [type(error).__name__]
    print(json.dumps([started, time.time() - started, *said]), flush=True)
"""


class Machine:
    """Namespaces that live as long as a sleeping process in them."""

    def __init__(self, work: Path, number: int) -> None:
        self.number, self.address, self.home = number, f"{NETWORK}.{number}", work / f"home{number}"
        self._folders = (work / "program", work / "folder")
        self.home.mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        """Start the machine, with nothing running on it."""
        name = f"fungarium{self.number}"
        mounts = " && ".join(
            [
                "mount --make-rprivate /",
                "mount -t tmpfs tmpfs /tmp",
                "mount -t tmpfs tmpfs /dev/shm",
                *(
                    f"mount --bind {shlex.quote(str(at))} {shlex.quote(to)}"
                    for at, to in zip(self._folders, (PROGRAM, FOLDER), strict=True)
                ),
                f"hostname machine{self.number}",
                "echo on && exec sleep infinity",
            ]
        )
        entered = ["ip", "netns", "exec", name, "unshare", "-m", "-p", "-u", "--fork", "--kill-child", "--mount-proc"]
        self._outer = subprocess.Popen(  # noqa: S603 - ours
            [*entered, "sh", "-c", mounts],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it reports an error when it is lost
            text=True,
        )
        if self._outer.stdout is None or self._outer.stdout.readline().strip() != "on":
            raise SystemExit(f"machine {self.number} cannot be made: are you root?")
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        self._first = int(children[0])

    def lose(self) -> None:
        """Kill the machine with all its processes."""
        os.kill(self._first, signal.SIGKILL)
        self._outer.wait()

    def popen(self, command: str, cluster: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command on the machine, with the settings of an operator."""
        env = {**RAY, **FUNGARIUM, "FUNGARIUM_CLUSTER": cluster, "HOME": str(self.home), "LANG": "C.UTF-8"}
        env |= {"PATH": f"{PROGRAM}/.venv/bin:/usr/bin:/bin", "FUNGARIUM_REPLICAS": "2"}
        enter = ["nsenter", "-t", str(self._first), "-m", "-p", "-n", "-u", "sh", "-c", f"cd {PROGRAM} && {command}"]
        return subprocess.Popen(enter, env=env, text=True, stdout=subprocess.PIPE, **options)  # noqa: S603 - ours

    def run(self, command: str, cluster: str = f"{HEAD}:6390") -> str:
        """Run a command on the machine and return its output; raises RuntimeError with it on failure."""
        with self.popen(command, cluster, stderr=subprocess.STDOUT) as ran:
            said = ran.communicate()[0]
        if ran.returncode:
            raise RuntimeError(f"machine {self.number}: {command}\n{said}")
        return said


class Asked:
    """A server on a machine, with a client that queries it continuously."""

    def __init__(self, machine: Machine, cluster: str, photo: str) -> None:
        self.said: list[list[Any]] = []
        log = (machine.home / "server.log").open("w")
        self._server = machine.popen(f"exec {RUN} serve", cluster, stderr=log)
        wait_for(lambda: '"ok"' in machine.run("curl -s -m 5 http://127.0.0.1:8000/healthz || true"), 120)
        self._asking = machine.popen(f"exec python -c {shlex.quote(ASK)} {photo}", cluster)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._asking.stdout or ():
            self.said.append(json.loads(line))

    def since(self, start: float) -> dict[str, Any]:
        """Summarise the responses to queries sent since `start`: counts by status, and times."""
        some = [line for line in self.said if line[0] >= start]
        refused = [line for line in some if line[2] != 200]
        return {
            "asked": len(some),
            "by_status": dict(Counter(str(line[2]) for line in some)),
            "answers": len({tuple(line[3:]) for line in some if line[2] == 200}),
            "slowest_s": round(max((line[1] for line in some), default=0.0), 2),
            "refused_for_s": round(refused[-1][0] + refused[-1][1] - refused[0][0], 1) if refused else 0.0,
        }

    def answers_since(self, start: float) -> int:
        """Count the queries sent since `start` that were answered."""
        return sum(line[0] >= start and line[2] == 200 for line in list(self.said))


def wait_for(met: Callable[[], bool], seconds: float) -> float:
    """Wait until a condition holds and return the seconds it took. Raises TimeoutError."""
    start = time.monotonic()
    while not met():
        if time.monotonic() - start > seconds:
            raise TimeoutError
        time.sleep(0.2)
    return time.monotonic() - start


@contextmanager
def network() -> Iterator[None]:
    """Create a bridge and a connected network namespace for each machine; remove them afterwards."""

    def ip(*words: str, check: bool = True) -> None:
        quiet = None if check else subprocess.DEVNULL
        subprocess.run(["ip", *words], check=check, stderr=quiet)  # noqa: S603, S607 - ours

    ip("link", "add", BRIDGE, "type", "bridge")
    try:
        ip("link", "set", BRIDGE, "up")
        for number in range(1, 5):
            name = f"fungarium{number}"
            ip("netns", "add", name)
            ip("link", "add", f"{BRIDGE}-{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"{BRIDGE}-{number}", "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for number in range(1, 5):
            ip("netns", "del", f"fungarium{number}", check=False)
        ip("link", "del", BRIDGE, check=False)


def embed(machines: list[Machine], data: str, lost: Machine | None) -> tuple[float, str]:
    """Embed on the cluster, losing a machine after a quarter; return seconds and the checksum of the store."""
    first = machines[0]
    first.run(f"rm -rf {data} && cp -r {FOLDER}/catalogue {data}")
    start = time.monotonic()
    with first.popen(f"FUNGARIUM_DATA={data} {RUN} index embed", f"{HEAD}:6390", stderr=subprocess.PIPE) as ran:
        shown = ""
        while ran.stderr is not None and (more := ran.stderr.read(64)):
            shown += more
            if lost is not None and any(f" {percent}%" in shown for percent in range(25, 60)):
                lost.lose()
                lost = None
    if ran.returncode or lost is not None:
        raise RuntimeError(f"embedding ended with {ran.returncode}: {shown[-2000:]}")
    taken = time.monotonic() - start
    stores = first.run(f"cat {data}/embeddings/*.sqlite | sha256sum")
    return taken, stores.split()[0]


def rehearse(work: Path) -> dict[str, Any]:
    """Follow the steps of the page."""
    results: dict[str, Any] = {"machine": describe_machine(), "load": [round(load, 1) for load in os.getloadavg()]}
    machines = [Machine(work, number) for number in range(1, 5)]
    first, second, third, outside = machines

    def join(machine: Machine) -> None:
        shutil.copytree(first.home / ".ray", machine.home / ".ray", dirs_exist_ok=True)
        machine.run(f"ray start --address={HEAD}:6390 --node-ip-address={machine.address}")

    first.run("ray get-auth-token --generate > /dev/null && chmod 600 ~/.ray/auth_token")
    first.run(LEAD)
    join(second)
    join(third)
    shutil.copytree(first.home / ".ray", outside.home / ".ray", dirs_exist_ok=True)
    drawn, catalogue = f"{FOLDER}/collection", f"FUNGARIUM_DATA={FOLDER}/catalogue"
    first.run(f"{RUN} demo draw {drawn}")
    first.run(f"{catalogue} {RUN} collection import dwca {drawn}/archive --dataset drawings --title Drawings")
    say("three machines have started, and a collection is drawn")

    alone, expected = embed(machines, f"{FOLDER}/undisturbed", None)
    disturbed, found = embed(machines, FUNGARIUM["FUNGARIUM_DATA"], third)
    results["embedding"] = {"seconds": round(alone, 1), "with_a_lost_machine": round(disturbed, 1)}
    results["embedding"]["bytes_are_the_same"] = expected == found
    say(f"embedded, and again with a machine lost: the bytes are {'the same' if expected == found else 'DIFFERENT'}")
    third.start()
    join(third)
    first.run(f"{RUN} index build && {RUN} index publish && {RUN} cluster start")
    results["status"] = first.run(f"{RUN} cluster status").splitlines()

    photo = f"{drawn}/held_out/find-01/{min((work / 'folder/collection/held_out/find-01').iterdir()).name}"
    outer = Asked(outside, f"ray://{HEAD}:10001", photo)
    inner = Asked(third, f"{HEAD}:6390", photo)
    wait_for(lambda: min(len(outer.said), len(inner.said)) > 50, 60)
    start = time.time()
    second.lose()
    time.sleep(20)
    results["a_machine_lost"] = {"on_a_node": inner.since(start), "by_ray": outer.since(start)}
    say(f"a machine was lost: {json.dumps(results['a_machine_lost'])}")
    second.start()
    join(second)
    results["start_again"] = first.run(f"{RUN} cluster start").splitlines()

    start = time.time()
    first.lose()
    time.sleep(10)
    first.start()
    first.run(LEAD)
    for machine in (second, third):
        machine.run("ray stop")
        join(machine)
    back = time.time()
    results["the_first_lost"] = {
        "answered_again_after_s": {
            name: round(wait_for(lambda asked=asked: asked.answers_since(back) > 20, 180), 1)  # type: ignore[misc]
            for name, asked in (("on_a_node", inner), ("by_ray", outer))
        },
        "on_a_node": inner.since(start),
        "by_ray": outer.since(start),
    }
    say(f"the first machine was lost: {json.dumps(results['the_first_lost'])}")
    for machine in machines:
        machine.lose()
    return results


def say(words: str) -> None:
    """Print a progress message."""
    print(words, flush=True)


def main() -> None:
    """Rehearse, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the machines' files; made anew")
    parser.add_argument("--results", type=Path, help="folder to write three_machines.json to")
    options = parser.parse_args()
    shutil.rmtree(options.work, ignore_errors=True)
    (options.work / "folder").mkdir(parents=True)
    left_out = shutil.ignore_patterns(".*", "node_modules", "demo", "data")
    shutil.copytree(ROOT, options.work / "program", ignore=left_out)
    (options.work / "program" / ".venv").symlink_to(Path(sys.prefix))
    for path in (PROGRAM, FOLDER):
        Path(path).mkdir(parents=True, exist_ok=True)
    with network():
        results = rehearse(options.work.resolve())
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)
        (options.results / "three_machines.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
