"""cluster: the shards on the Ray cluster that FUNGARIUM_CLUSTER names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fungarium.terminal import Group, OneOf, as_json, with_settings

if TYPE_CHECKING:
    from settings import Settings


@click.group(
    cls=Group,
    epilog="How many there are is set by FUNGARIUM_SHARDS and FUNGARIUM_REPLICAS; docs/scale.md says more.",
)
def cluster() -> None:
    """Look after the shards on the cluster of FUNGARIUM_CLUSTER."""


@cluster.command()
@with_settings
def start(settings: Settings) -> int:
    """Start what does not run yet, and open the snapshot everywhere."""
    from fungarium.jobs.shards import start

    return start(settings)


@cluster.command()
@as_json
@with_settings
def status(settings: Settings, as_json: bool) -> int:
    """Show nodes, shards and replicas.

    Ends with 1 where a shard has no replica alive.
    """
    from fungarium.jobs.shards import status

    return status(settings, as_json=as_json)


@cluster.command()
@click.option("--anew", type=OneOf("cluster.placement:METHODS"), help="Forget the present placement and make one so.")
@with_settings
def place(settings: Settings, anew: str | None) -> None:
    """Show which shard holds what, or place references anew."""
    from fungarium.jobs.shards import place

    place(settings, anew)


@cluster.command()
@with_settings
def stop(settings: Settings) -> None:
    """End all shards; a server that uses them answers 503 from then on."""
    from fungarium.jobs.shards import stop

    stop(settings)
