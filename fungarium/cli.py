"""The command `fungarium`: its groups in the order of work, and the exit codes of every command.

These modules declare commands and import only click. What a command needs is imported when it runs, so that help and
shell completion are fast. Longer work is in `fungarium/jobs`.
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
from fungarium.exit_codes import run_guarded
from fungarium.identify import identify, similar
from fungarium.index import index
from fungarium.model import model
from fungarium.observations import observations
from fungarium.people import people
from fungarium.serve import serve
from fungarium.terminal import Group
from fungarium.upgrade import upgrade

NAME: Final = "fungarium"
COMPLETE: Final = "_FUNGARIUM_COMPLETE"


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Folders, model and limits are settings, FUNGARIUM_..., described in docs/settings.md.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Identify fungi from several photos of one observation, with your own reference photos."""


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
    upgrade,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 if it failed, 2 if it was not understood."""
    if instruction := os.environ.get(COMPLETE):  # the shell requests completions
        return shell_complete(cli, {}, NAME, COMPLETE, instruction)
    inherit_path()
    return run_guarded(lambda: run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run the command line `arguments`; a usage error is one sentence and exit code 2."""
    try:
        with cli.make_context(NAME, arguments) as context:
            return int(cli.invoke(context) or 0)
    except Exit as ended:
        return ended.exit_code
    except NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return 2
    except click.UsageError as error:
        message = error.format_message().strip().rstrip(".")
        where = error.ctx.command_path if error.ctx else NAME
        print(f"error: {message[:1].lower()}{message[1:]}; `{where} --help` says more", file=sys.stderr)
        return 2
    except click.Abort:  # Ctrl+C at a prompt
        raise KeyboardInterrupt from None


def inherit_path() -> None:
    """Let Python processes started by a command find the program's packages, wherever they are installed."""
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(PROGRAM)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROGRAM), *others])
