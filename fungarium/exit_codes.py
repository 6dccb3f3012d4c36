"""Exit codes and error messages of commands: expected errors are printed as one sentence, without a traceback."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable

from retrieval.errors import FungariumError


def run_guarded(command: Callable[[], int]) -> int:
    """Run a command and return its exit code; print expected errors to stderr as one sentence."""
    try:
        code = command()
        sys.stdout.flush()
    except FungariumError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing is lost: run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except sqlite3.Error as error:  # a full or unwritable disk under one of the tables beside the database
        print(f"error: a table cannot be written or read: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder without write permission, a port in use
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror or error}", file=sys.stderr)
        return 1
    return code
