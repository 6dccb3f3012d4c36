"""Schemas of what monitors and load balancers ask for."""

from __future__ import annotations

from marshmallow import fields

from web.schemas.answers import Answer, about


class ReplicaHealth(Answer):
    """A replica of a shard on the cluster."""

    replica = fields.Integer()
    alive = fields.Boolean(metadata=about("It sent a heartbeat in the last seconds."))
    node = fields.String()
    snapshots = fields.List(fields.String(), metadata=about("Open snapshots, the latest last."))
    memory = fields.Integer(metadata=about("Private bytes, without memory-mapped files."))
    index = fields.String(metadata=about("The device that it searches on."))


class PartHealth(Answer):
    """A shard of the references on the cluster."""

    part = fields.Integer()
    replicas = fields.List(fields.Nested(ReplicaHealth))


class LineHealth(Answer):
    """The health of a published line besides the stable one."""

    line = fields.String(metadata=about("The name by which requests choose it."))
    status = fields.String(
        metadata=about("As of the server; or idle: no request to the process that answers has named the line.")
    )
    detail = fields.String()
    snapshot = fields.String(allow_none=True)
    model = fields.String(allow_none=True)
    references = fields.Integer()


class ServerHealth(Answer):
    """The health of the server."""

    cluster = fields.List(
        fields.Nested(PartHealth), metadata=about("The shards, if references are searched on a cluster.")
    )
    lines = fields.List(
        fields.Nested(LineHealth), metadata=about("The published lines besides the stable one, if there are any.")
    )

    status = fields.String(
        metadata=about(
            "ok; degraded: an older snapshot than the published one is in use, or replicas of the cluster are missing; "
            "starting; unavailable."
        )
    )
    detail = fields.String(metadata=about("What is wrong and who can act; empty if all is well."))
    snapshot = fields.String(allow_none=True)
    model = fields.String(allow_none=True)
    references = fields.Integer()
    floras = fields.Integer()
    index = fields.String(
        metadata=about("What floras are searched on: cpu, with the reason if a GPU was requested, or the GPUs.")
    )


class ReadinessCheck(Answer):
    """One thing that the server needs."""

    name = fields.String(metadata=about("snapshot, model, database, counts, disk, or a shard of the cluster."))
    state = fields.String(metadata=about("ok; degraded: requests are answered; unavailable: they fail."))
    detail = fields.String(metadata=about("What is wrong and who can act; empty if all is well."))


class Readiness(Answer):
    """Whether requests can be answered."""

    ready = fields.Boolean()
    checks = fields.List(fields.Nested(ReadinessCheck))
