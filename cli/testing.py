"""``propdesk test``: the whole suite, exactly as continuous integration runs it."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from adapters.settings import CLONE_ROOT
from cli.output import EXIT_FAILURE, EXIT_OK, say

PACKAGES = (
    "propdesk", "adapters", "assets", "orchestration", "trading_daemon", "campaign", "cli", "runtime",
    "sandbox", "web",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One tool of the suite.

    Parameters
    ----------
    title : str
    words : tuple of str
        Program in the environment's folder, and arguments.
    about : str
        How long it takes.
    is_beside : bool
        It runs on one processor while the ones that follow run; its output is shown at the end, if it failed.
    """

    title: str
    words: tuple[str, ...]
    about: str
    is_beside: bool = False


WORKERS = ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "20")
"""The whole suite runs in four processes, each with servers of its own: half of a test is waiting.

A file's tests stay together, since they share what its fixtures built. Files run in their order: the plugin's
own begins with those of many tests, and the few long ones of whole days would come last and alone."""

CHECKS = (
    Check("ruff check", ("ruff", "check", "."), "1 s"),
    Check("ruff format", ("ruff", "format", "--check", "."), "1 s"),
    Check("mypy --strict", ("mypy",), "1 min when cold, beside what follows", is_beside=True),
    Check("import contracts", ("lint-imports",), "10 s"),
)


def register(app: typer.Typer) -> None:
    """Add ``test``."""

    @app.command()
    def test(
        pytest_args: Annotated[
            list[str] | None, typer.Argument(help="Handed to pytest; -- before options.")
        ] = None,
        static_only: Annotated[
            bool, typer.Option("--static", help="Lint, types and contracts only.")
        ] = False,
        no_static: Annotated[bool, typer.Option("--no-static", help="Tests only.")] = False,
    ) -> None:
        """Run lint, format, types, import contracts and the whole test suite on real servers."""
        checks: list[Check] = [] if no_static else list(CHECKS)
        if not static_only:
            words = ("pytest", *(pytest_args or WORKERS))
            checks.append(Check("pytest", words, "up to 15 min"))
        raise typer.Exit(run_all(checks))


def run_all(checks: Sequence[Check]) -> int:
    """Run the checks one after the other, all of them, and return the exit code.

    Parameters
    ----------
    checks : sequence of Check
        pytest last: its closing line then ends the output of a good run.
    """
    failed = []
    beside: dict[str, subprocess.Popen[str]] = {}
    for check in checks:
        say(f"▸ {check.title} ({check.about})")
        begun = time.monotonic()
        if check.is_beside:
            if (started := start_one(check.words)) is None:
                failed.append(check.title)
            else:
                beside[check.title] = started
            continue
        if not run_one(check.words):
            failed.append(check.title)
        if check is not checks[-1]:
            say(f"  {'failed' if check.title in failed else 'done'} in {time.monotonic() - begun:.1f} s")
    for title, process in beside.items():
        said, _ = process.communicate()
        if process.returncode:
            failed.append(title)
            say(said.rstrip())
    if failed:
        say(f"Failed: {', '.join(failed)}.")
    return EXIT_FAILURE if failed else EXIT_OK


def run_one(words: Sequence[str]) -> bool:
    """Run one tool of this environment in the clone; returns whether it succeeded."""
    process = start_one(words, is_shown=True)
    return process is not None and process.wait() == 0


def start_one(words: Sequence[str], *, is_shown: bool = False) -> "subprocess.Popen[str] | None":
    """Start one tool of this environment in the clone; its output is kept unless it is shown."""
    folder = os.path.dirname(sys.executable)
    kept = None if is_shown else subprocess.PIPE
    path = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    # Told to write no bytecode, as containers like to be, each of the processes would rewrite every test.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    try:
        return subprocess.Popen(
            [os.path.join(folder, words[0]), *words[1:]],
            cwd=CLONE_ROOT,
            env={**env, "PATH": path},
            stdout=kept, stderr=None if is_shown else subprocess.STDOUT, text=True,
        )  # fmt: skip
    except FileNotFoundError:
        say(f"{words[0]} is not installed; run `python3 run.py test`, which installs it.")
        return None
