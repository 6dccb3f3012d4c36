"""How every command of the project ends: well, with one sentence for a person, or quietly when nobody listens."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from retrieval.errors import FungariumError


def run_guarded(command: Callable[[], int]) -> int:
    """Run a command and give its exit code; errors meant for people go to stderr as one sentence."""
    try:
        code = command()
        sys.stdout.flush()
    except FungariumError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing is lost: run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder that may not be written, a name that is taken
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror or error}", file=sys.stderr)
        return 1
    return code
