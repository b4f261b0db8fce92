"""The command ``propdesk``: finds the areas' commands, turns faults into sentences and exit codes."""

import importlib
import pkgutil
from collections.abc import Sequence

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

import cli
from adapters.settings import NotConfigured
from cli.output import (
    EXIT_BAD_INPUT,
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_NOT_RUNNING,
    EXIT_OK,
    NotRunning,
    say,
)
from propdesk.core.errors import ConfigFault, DataFault, InvariantViolated, PropdeskError

HELP = "Find out which advisors are worth following, when and with how much; trade it."


def build() -> typer.Typer:
    """Assemble the command line from every module of this package that offers ``register(app)``.

    Notes
    -----
    Those modules import the heavy libraries inside their commands only, so that ``--help`` is quick. A module
    with an underscore in its name (``analyze_corpus``) is a part of an area, which collects it itself.
    """
    app = typer.Typer(
        name="propdesk", help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )

    @app.callback()
    def root() -> None:
        """Take no options of its own; there for the help text."""

    for name in sorted(module.name for module in pkgutil.iter_modules(cli.__path__)):
        if "_" in name:
            continue
        register = getattr(importlib.import_module(f"cli.{name}"), "register", None)
        if register is not None:
            register(app)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        Words after the program's name; those of this process by default.

    Returns
    -------
    int
        The exit code: 0 done, 1 failed, 2 bad input, 3 not ready or not running, 130 interrupted.
    """
    command = typer.main.get_command(build())
    assert isinstance(command, TyperGroup)  # noqa: S101 - narrows a type, promises nothing
    words = None if argv is None else list(argv)
    try:
        answer = command.main(args=words, prog_name="propdesk", standalone_mode=False)
    except KeyboardInterrupt:
        say("Interrupted.")
        return EXIT_INTERRUPTED
    except InvariantViolated as violated:
        say(f"A promise of propdesk's own code was broken: {violated}. Please report this with the command.")
        raise
    except PropdeskError as fault:
        say(str(fault))
        return exit_code_of(fault)
    except typer.Abort:
        return EXIT_INTERRUPTED
    except TyperException as error:
        say(f"{error.format_message()} (`propdesk COMMAND --help` tells what is possible)")
        return EXIT_BAD_INPUT
    return answer if isinstance(answer, int) else EXIT_OK


def exit_code_of(fault: PropdeskError) -> int:
    """Tell the exit code that belongs to a fault."""
    from adapters.db.engine import DatabaseUnreachable  # SQLAlchemy, which --help must not wait for

    if isinstance(fault, NotRunning | NotConfigured | DatabaseUnreachable):
        return EXIT_NOT_RUNNING
    return EXIT_BAD_INPUT if isinstance(fault, DataFault | ConfigFault) else EXIT_FAILURE
