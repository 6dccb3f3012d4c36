"""What is acknowledged is on the disk: every file that was written is flushed before, and so is every name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hostile.power_cut import ACKNOWLEDGED

ROOT = Path(__file__).resolve().parents[2]
CALLS = (
    "write,pwrite64,writev,pwritev,ftruncate,fallocate,copy_file_range,sendfile,fsync,fdatasync,"
    "rename,renameat,renameat2,link,linkat,mkdir,mkdirat"
)
CALL = re.compile(r"^(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)$")
OPENED = re.compile(r"^\d+<(?P<path>[^>]*)>")
NAMED = re.compile(r'"(?P<path>[^"]*)"')
PASSING = re.compile(r"-shm$|/thumbnails/|/atlases|/STAMPS\.json|/\.STAMPS|\.lock$|/HISTORY|/\.dump-|/reports?/")
"""Files that are made again when they are missing, and files of a backup in the making."""


@dataclass
class Disk:
    """What a power cut would lose, as far as system calls tell."""

    root: Path
    unwritten: set[str] = field(default_factory=set)  # files with content that is not flushed
    unnamed: dict[str, set[str]] = field(default_factory=dict)  # folders with names that are not: which
    lost: list[tuple[str, list[str]]] = field(default_factory=list)  # at each acknowledgement
    acknowledged: Counter[str] = field(default_factory=Counter)

    def follow(self, lines: Iterable[str]) -> None:
        """Follow the calls of the first thread of a record."""
        first = ""
        for line in lines:
            call = CALL.match(line)
            if call is None or ") = -1 " in call["rest"] or (first and call["thread"] != first):
                continue
            first = call["thread"]
            self.apply(call["name"], call["rest"])

    def apply(self, name: str, rest: str) -> None:
        """Apply one call."""
        opened, named = OPENED.match(rest), [os.path.normpath(found) for found in NAMED.findall(rest)]
        path = opened["path"] if opened else ""
        if name == "write" and f'"{ACKNOWLEDGED} ' in rest:
            what = rest.split(ACKNOWLEDGED + " ")[1].split("\\n")[0]
            self.acknowledged[what] += 1
            if what == "beginning":  # the installation is older
                self.unwritten, self.unnamed = set(), {}
            names = {f"{folder}/{entry}" for folder, entries in self.unnamed.items() for entry in entries}
            if lost := sorted(one for one in self.unwritten | names if not PASSING.search(one)):
                self.lost.append((what, lost))
        elif name in ("fsync", "fdatasync"):
            self.unwritten.discard(path)
            self.unnamed.pop(path, None)
        elif name.startswith("rename") and self.is_ours(named[-1]):
            before, after = named
            if before in self.unwritten:
                self.unwritten.discard(before)
                self.unwritten.add(after)
            self.unwritten = {
                after + one.removeprefix(before) if one.startswith(f"{before}/") else one for one in self.unwritten
            }
            self.unnamed.setdefault(os.path.dirname(after), set()).add(os.path.basename(after))  # noqa: PTH119, PTH120
        elif name.startswith(("link", "mkdir")) and self.is_ours(named[-1]):
            self.unnamed.setdefault(os.path.dirname(named[-1]), set()).add(os.path.basename(named[-1]))  # noqa: PTH119, PTH120
        elif self.is_ours(path):
            self.unwritten.add(path)

    def is_ours(self, path: str) -> bool:
        """Return whether a path lies in the folder that is watched."""
        return path.startswith(f"{self.root}/")

    def forget_removed(self) -> None:
        """Forget what is not there at the end: it was on its way to another name, or was removed."""
        self.lost = [(what, there) for what, lost in self.lost if (there := [p for p in lost if Path(p).exists()])]


def test_nothing_that_was_acknowledged_is_lost_in_a_power_cut(tmp_path: Path, rounds: Callable[..., int]) -> None:
    """Observations with photos, verdicts, keys, publications, withdrawals and backups, in the order of their calls."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace, which records the order of system calls, is not installed")
    probe = [strace, "-f", "--seccomp-bpf", "-qq", "-y", "-e", "trace=write", "-o", os.devnull, "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("no process may be traced here")
    (tmp_path / "installation").mkdir()
    record, times = tmp_path / "calls", rounds(1, exhaustively=40)
    command = [strace, "-f", "--seccomp-bpf", "-qq", "-y", "-s", "64", "-e", f"trace={CALLS}", "-o", str(record)]
    program = [sys.executable, "-m", "tests.hostile.power_cut", str(tmp_path / "installation"), str(times)]
    done = subprocess.run([*command, *program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]

    disk = Disk(tmp_path / "installation")
    with record.open(errors="replace") as lines:
        disk.follow(lines)
    disk.forget_removed()

    assert disk.acknowledged["observation"] == disk.acknowledged["key"] == times
    assert disk.acknowledged["publication"] == disk.acknowledged["backup"] == (times + 3) // 4
    assert [f"{what}: {Path(one).relative_to(tmp_path)}" for what, lost in disk.lost for one in lost] == []
