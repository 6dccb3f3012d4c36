"""`python -m fungarium`: the command without its console script."""

from __future__ import annotations

import sys

from fungarium.cli import main

if __name__ == "__main__":
    sys.exit(main())
