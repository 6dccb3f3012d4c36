"""atlas: the published references in two dimensions, for curators; publishing makes it too, where it is quick."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from typing import Any

from tqdm import tqdm

from indexer.building.atlas import best_method, build_atlas
from retrieval.snapshots.atlas import atlas_path, name_references
from retrieval.snapshots.manifest import read_current, read_manifest
from retrieval.snapshots.snapshot import open_snapshot
from settings import Settings

AT_PUBLISH = {"pca": 100_000, "tsne": 20_000}  # references laid out with publishing: in ten seconds, in a minute


def register(commands: Any) -> None:
    """Add the command to the parser."""
    does = "lay the published references out in two dimensions, for the page /atlas, and find doubtful ones"
    command = commands.add_parser("atlas", help=does, description=does)
    command.add_argument(
        "--method", choices=("pca", "tsne"), default="", help="default: tsne where requirements-atlas.txt is installed"
    )
    command.set_defaults(func=atlas)


def add_atlas_choice(command: argparse.ArgumentParser) -> None:
    """Let a command that publishes be told whether to make the atlas."""
    command.add_argument(
        "--atlas",
        action=argparse.BooleanOptionalAction,
        help="lay the references out for /atlas afterwards (default: if they are"
        f" {AT_PUBLISH['pca']:,} at most, with openTSNE {AT_PUBLISH['tsne']:,})",
    )


def atlas(options: argparse.Namespace, settings: Settings) -> int:
    """Lay the published snapshot out, whatever its size."""
    return lay_out(settings, options.method)


def lay_out_published(settings: Settings, *, wanted: bool | None = None) -> int:
    """Make the atlas of what was just published, unless its references have one; None: where it is quick.

    Readers have gone over to the snapshot already, and whoever breaks this off loses the atlas alone.
    """
    root = settings.flora_indexes
    manifest = read_manifest(root, read_current(root))
    if wanted is False or (wanted is None and atlas_path(root, name_references(manifest)).exists()):
        return 0
    if wanted is None and manifest.references > AT_PUBLISH[best_method()]:
        print(
            f"no atlas yet: {manifest.references:,} references take a while; `python -m indexer atlas` lays them out",
            file=sys.stderr,
        )
        return 0
    try:
        return lay_out(settings, "")
    except Exception as error:  # whatever it is: readers have gone over, and no answer depends on the atlas
        print(f"no atlas: {error or type(error).__name__}; `python -m indexer atlas` makes it", file=sys.stderr)
        return 0


def lay_out(settings: Settings, method: str) -> int:
    """Make the atlas of the published snapshot and say what is in it."""
    with closing(open_snapshot(settings.flora_indexes)) as snapshot:
        total = snapshot.manifest.references
        with tqdm(total=total, desc="atlas", unit="reference", file=sys.stderr) as bar:
            made = build_atlas(settings.flora_indexes, snapshot, method=method, advance=bar.update)
        print(f"atlas of {snapshot.name}: {len(made.rows)} references by {made.method}, ", end="")
    print(f"{int((made.strangers > 0).sum())} doubtful")
    return 0
