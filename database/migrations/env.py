"""Alembic's environment: uses the connection passed by `database.session`, or the URL from the command line.

To create a revision: `alembic -x url=sqlite:///PATH revision --autogenerate -m "what changes"`.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine

from database.session import parse_url
from database.tables import Base


def migrate(connection: Connection) -> None:
    """Run the requested migrations on `connection`."""
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with create_engine(parse_url(context.get_x_argument(as_dictionary=True)["url"])).begin() as opened:
        migrate(opened)
