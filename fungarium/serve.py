"""serve: the pages and the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fungarium.terminal import with_settings

if TYPE_CHECKING:
    from flask import Flask

    from settings import Settings


@click.command(
    epilog="Address, folders, model and limits are settings, FUNGARIUM_..., described in docs/settings.md.",
)
@with_settings
def serve(settings: Settings) -> int:
    """Serve the pages and the API until Ctrl+C or SIGTERM."""
    from web import gunicorn

    return gunicorn.serve(
        create, host=settings.host, port=settings.port, threads=settings.threads, workers=settings.workers
    )


def create() -> Flask:
    """Create the application; called in the worker, after the fork.

    The import is here because FAISS hangs if it is used on both sides of a fork.
    """
    from settings import read_settings
    from web.application import create_app
    from web.http.logging import start_logging
    from web.services import make_services

    settings = read_settings()
    start_logging(settings.log, settings.log_level)
    return create_app(make_services(settings))
