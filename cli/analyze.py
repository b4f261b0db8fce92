"""`propdesk analyze`: one metric on a plain file, with no database and no pipeline (§7.4)."""

import importlib
import pkgutil

import typer

import cli

HELP = "Compute one metric from plain files, with the same functions as the pipeline."


def register(app: typer.Typer) -> None:
    """Add the group; every module ``cli/analyze_*.py`` with ``register(group)`` is one command of it."""
    group = typer.Typer(help=HELP, no_args_is_help=True)
    for name in sorted(module.name for module in pkgutil.iter_modules(cli.__path__)):
        if name.startswith("analyze_"):
            add = getattr(importlib.import_module(f"cli.{name}"), "register", None)
            if add is not None:
                add(group)
    app.add_typer(group, name="analyze")
