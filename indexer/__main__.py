"""`python -m indexer COMMAND`: import, curate, embed, build, publish."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from indexer.commands import atlases, checklists, circle, exports, floras, imports, models, regions, snapshots, tables
from retrieval.command import run_guarded
from settings import read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    parser = argparse.ArgumentParser(prog="python -m indexer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (imports, checklists, regions, floras, snapshots, atlases, circle, exports, models, tables):
        module.register(commands)
    options = parser.parse_args(arguments)
    return run_guarded(lambda: int(options.func(options, read_settings())))


if __name__ == "__main__":
    sys.exit(main())
