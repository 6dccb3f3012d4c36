"""`python -m indexer COMMAND`: import, curate, embed, build, publish."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from indexer.commands import checklists, floras, imports, regions, snapshots
from retrieval.errors import FungariumError
from settings import read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors meant for people go to stderr as one sentence."""
    parser = argparse.ArgumentParser(prog="python -m indexer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (imports, checklists, regions, floras, snapshots):
        module.register(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.func(options, read_settings()))
    except FungariumError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing is lost: run the same command again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
