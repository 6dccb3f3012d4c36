"""The folder of archives that `fungarium observations export` writes for GBIF, as the server finds it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.zip")  # of a file in the folder itself, and never hidden


def archives(folder: Path | None) -> list[Path]:
    """The archives of a folder, by name; none where it is missing. What is still being written is hidden."""
    if folder is None or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name) and path.is_file())
