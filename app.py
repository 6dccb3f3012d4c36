"""WSGI entry point: `gunicorn -c python:web.gunicorn 'app:create()'`. `python app.py` is `fungarium serve`."""

from __future__ import annotations

import sys

from fungarium.cli import main
from fungarium.serve import create

__all__ = ["create"]

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
