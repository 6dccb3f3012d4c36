"""What commands share on a terminal: groups, parameter types, JSON, lists and progress bars."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import cached_property, wraps
from importlib import import_module
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, TypeVar

import click

Result = TypeVar("Result")

PATH: click.Path = click.Path(path_type=Path)


class Group(click.Group):
    """A group that lists its commands in the order of their definition, which is the order of work."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


Group.group_class = Group


class OneOf(click.Choice[str]):
    """A choice of the names `module:NAMES`; the module is imported when they are needed."""

    def __init__(self, where: str, *more: str) -> None:
        self._where, self._more = where, more
        self.case_sensitive = True

    @cached_property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override] # an attribute there
        """The names."""
        module, _, names = self._where.partition(":")
        return (*self._more, *getattr(import_module(module), names))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        completing = ctx is not None and ctx.resilient_parsing  # an incomplete line, which must not be refused
        return str(value) if completing else super().convert(value, param, ctx)


class Day(click.ParamType[date]):
    """A date, YYYY-MM-DD."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"a date is written YYYY-MM-DD, such as 2026-10-03, not {value!r}", param, ctx)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def with_settings(command: Callable[..., Result]) -> Callable[..., Result]:
    """Pass the settings as the first argument; they are read, and validated, when the command runs."""

    @wraps(command)
    def run(**options: Any) -> Result:
        from settings import read_settings

        return command(read_settings(), **options)

    return run


def with_database(command: Callable[..., Result]) -> Callable[..., Result]:
    """Pass the open database as the first argument; a new one gets its tables, an old one is refused."""

    @wraps(command)
    def run(**options: Any) -> Result:
        from database.session import create_tables, open_database
        from settings import read_settings

        address = read_settings().database_url
        create_tables(address)
        with open_database(address) as database:
            return command(database, **options)

    return run


def print_json(value: object) -> None:
    """Print indented JSON without escaping letters."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_rows(rows: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    """Print a list: one line each with tab-separated values, or JSON."""
    if as_json:
        print_json(list(rows))
        return
    for row in rows:
        print("\t".join(format_value(value) for value in row.values()))


def format_value(value: object) -> str:
    """Format a value on one line."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value))
    return str(value)


class ProgressBars:
    """Progress on standard error: a bar for each stage in turn, or a line if it has no steps."""

    def __init__(self, unit: str = "it") -> None:
        self._unit = unit
        self._stage = ""
        self._bar: Any = None
        self._lock = Lock()

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        from tqdm import tqdm

        with self._lock:
            if not done and not total:
                self._end()
                print(stage, file=sys.stderr)
                return
            if stage != self._stage:
                self._end()
                self._stage, self._bar = stage, tqdm(total=total or None, desc=stage, unit=self._unit, file=sys.stderr)
            self._bar.update(done)
            if total and self._bar.n >= total:
                self._end()

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._stage, self._bar = "", None
