"""The command `fungarium`, and the location of the program's packages.

In a checkout they are the folders beside this one. An installed wheel has them in `fungarium/program`, so that names
such as `web` or `settings` are not installed beside other people's packages. Importing this package adds them to the
path.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

__version__ = "0.1.0"

_INSTALLED: Final = Path(__file__).resolve().parent / "program"
PROGRAM: Final = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1]
"""The folder with `retrieval`, `indexer`, `database`, `web` and the other packages."""

if str(PROGRAM) not in sys.path:
    sys.path.insert(0, str(PROGRAM))
