"""On a full or protected disk every writer refuses in one sentence, leaves nothing half, and recovers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NO_MOUNT = 77


def test_every_writer_refuses_a_full_or_protected_disk_and_recovers(tmp_path: Path, rounds: Callable[..., int]) -> None:
    """Uploads, answers, verdicts, keys, settings, imports, embeddings, snapshots, exports, backups and restores."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare, which makes a mount of its own, is not installed")
    namespace = [unshare, "--user", "--map-root-user", "--mount"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system may be mounted here, not even in a namespace of its own")
    program = [sys.executable, "-m", "tests.hostile.full_disk", str(tmp_path), str(rounds(1, exhaustively=12))]

    done = subprocess.run([*namespace, *program], cwd=ROOT, capture_output=True, text=True, check=False)

    if done.returncode == NO_MOUNT:
        pytest.skip("no file system may be mounted here")
    assert done.returncode == 0, done.stderr[-2000:]
    assert [text for text in done.stdout.splitlines() if text.startswith("fault: ")] == []
