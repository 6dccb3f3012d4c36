"""`python -m training COMMAND`: draw or gather pictures, train, export, and make the default model.

Needs requirements-train.txt. Several GPUs: `torchrun --nproc-per-node 4 -m training train ...`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from retrieval.command import run_guarded


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors meant for people go to stderr as one sentence."""

    def guarded() -> int:
        from training.commands import run

        run(list(sys.argv[1:] if arguments is None else arguments))
        return 0

    return run_guarded(guarded)


if __name__ == "__main__":
    sys.exit(main())
