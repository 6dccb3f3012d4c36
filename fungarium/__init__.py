"""The command `fungarium`, and where the program's packages lie.

In a checkout they are the folders beside this one; an installed wheel keeps them in `fungarium/program`, so that names
such as `web` or `settings` never lie beside other people's packages. Importing this package makes them importable.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

__version__ = "0.1.0"

_INSTALLED: Final = Path(__file__).resolve().parent / "program"
PROGRAM: Final = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1]
"""The folder that holds `retrieval`, `indexer`, `database`, `web` and the others."""

if str(PROGRAM) not in sys.path:
    sys.path.insert(0, str(PROGRAM))
