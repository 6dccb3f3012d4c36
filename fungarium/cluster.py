"""cluster: the shards on the Ray cluster that FUNGARIUM_CLUSTER names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fungarium.terminal import Group, OneOf, as_json, with_settings

if TYPE_CHECKING:
    from settings import Settings


@click.group(
    cls=Group,
    epilog="Their number is set by FUNGARIUM_SHARDS and FUNGARIUM_REPLICAS; see docs/scale.md.",
)
def cluster() -> None:
    """Manage the shards on the cluster of FUNGARIUM_CLUSTER."""


@cluster.command()
@with_settings
def start(settings: Settings) -> int:
    """Start missing processes, and open the snapshot on all."""
    from fungarium.jobs.shards import start

    return start(settings)


@cluster.command()
@as_json
@with_settings
def status(settings: Settings, as_json: bool) -> int:
    """Show nodes, shards and replicas.

    Ends with 1 if a shard has no live replica with the published snapshot open.
    """
    from fungarium.jobs.shards import status

    return status(settings, as_json=as_json)


@cluster.command()
@click.option("--anew", type=OneOf("cluster.placement:METHODS"), help="Replace the placement; METHOD of the new one.")
@with_settings
def place(settings: Settings, anew: str | None) -> None:
    """Show which shard holds which species, or place references anew."""
    from fungarium.jobs.shards import place

    place(settings, anew)


@cluster.command()
@with_settings
def stop(settings: Settings) -> None:
    """Stop all shards; a server that uses them then answers 503."""
    from fungarium.jobs.shards import stop

    stop(settings)
