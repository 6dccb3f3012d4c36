"""Chooses: reads the settings, puts the services together and serves them.

`python app.py`, or `gunicorn -c python:web.gunicorn 'app:create()'`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval.errors import SettingsError
from settings import read_settings
from web.gunicorn import serve

if TYPE_CHECKING:
    from flask import Flask


def create() -> Flask:
    """Make the application; called in the worker, after the fork.

    Imported here so that FAISS is loaded on that side only: used on both sides of a fork, it hangs.
    """
    from web.application import create_app
    from web.http.logging import start_logging
    from web.services import make_services

    settings = read_settings()
    start_logging(settings.log, settings.log_level)
    return create_app(make_services(settings))


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl+C or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="Serve the page and the API until Ctrl+C.",
        epilog="Address, folders, model and limits are settings, FUNGARIUM_..., described in docs/settings.md.",
    )
    parser.parse_args(arguments)
    try:
        settings = read_settings()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return serve(create, host=settings.host, port=settings.port, threads=settings.threads, workers=settings.workers)


if __name__ == "__main__":
    sys.exit(main())
