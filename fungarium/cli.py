"""The command `fungarium`: its groups in the order of work, and how every command ends.

These modules declare commands and import click alone; what a command needs is imported when it runs, so that help and
shell completion are quick. Longer work is in `fungarium/jobs`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import click
from click.exceptions import Exit, NoArgsIsHelpError
from click.shell_completion import shell_complete

from fungarium import PROGRAM, __version__
from fungarium.backup import backup
from fungarium.cluster import cluster
from fungarium.collection import collection
from fungarium.demo import demo
from fungarium.doctor import doctor
from fungarium.evaluate import evaluate
from fungarium.identify import identify, similar
from fungarium.index import index
from fungarium.model import model
from fungarium.observations import observations
from fungarium.people import people
from fungarium.serve import serve
from fungarium.terminal import Group
from retrieval.command import run_guarded

NAME: Final = "fungarium"
COMPLETE: Final = "_FUNGARIUM_COMPLETE"


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Folders, model and limits are settings, FUNGARIUM_..., described in docs/settings.md.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Identify fungi from several photos of one find, with reference photos of your own."""


for command in (
    collection,
    index,
    identify,
    similar,
    serve,
    evaluate,
    people,
    observations,
    model,
    backup,
    cluster,
    demo,
    doctor,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and give its exit code: 0, 1 where it could not be done, 2 where it was not understood."""
    if instruction := os.environ.get(COMPLETE):  # a shell asks how a line goes on
        return shell_complete(cli, {}, NAME, COMPLETE, instruction)
    inherit_path()
    return run_guarded(lambda: run(list(sys.argv[1:] if arguments is None else arguments)))


def run(words: list[str]) -> int:
    """Run what the words say; what cannot be understood is one sentence and 2."""
    try:
        with cli.make_context(NAME, words) as context:
            return int(cli.invoke(context) or 0)
    except Exit as ended:
        return ended.exit_code
    except NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return 2
    except click.UsageError as error:
        said = error.format_message().strip().rstrip(".")
        where = error.ctx.command_path if error.ctx else NAME
        print(f"error: {said[:1].lower()}{said[1:]}; `{where} --help` says more", file=sys.stderr)
        return 2
    except click.Abort:  # Ctrl+C at a prompt
        raise KeyboardInterrupt from None


def inherit_path() -> None:
    """Let the Python processes that a command starts find the program too, wherever it lies."""
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(PROGRAM)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROGRAM), *others])
