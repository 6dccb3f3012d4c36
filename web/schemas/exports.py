"""The folder of archives written by `fungarium observations export` for GBIF."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.zip")  # a file directly in the folder, not hidden


def archives(folder: Path | None) -> list[Path]:
    """Return the archives in a folder, by name; none if it is missing. Incomplete files are hidden."""
    if folder is None or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name) and path.is_file())
