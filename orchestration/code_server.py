"""Serve our definitions to Dagster, and start each run from a process that has everything imported already.

Dagster's own server spawns a fresh interpreter per run, which then spends several seconds on imports
(Dagster, dbt, Great Expectations, pandas). Here the runs are forked from a server process that has done
nothing but import, so a queued run begins its first step in about a second. Where Dagster's private hook is
missing, runs are spawned as usual. The server itself describes the assets and runs none: once the dbt project
is parsed it does without dbt, whose import takes as long as half of everything else.
"""

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import forkserver
from typing import Any, Final

import click
from dagster._cli.api import api_cli
from dagster._grpc import server as grpc_server

from adapters.settings import load_settings
from assets._shared.dbt_runner import DbtRunner
from orchestration.instance import DEFINITIONS, LOCATION

PRELOAD: Final = ["orchestration.preload"]
PRELOAD_AFTER_S: Final = 15.0
_CONTEXT_HOOK: Final = "_mp_ctx"
_END_HOOK: Final = "_server_termination_event"


def tune_server() -> bool:
    """Let Dagster's server fork its runs from a preloaded process, and end when it is asked to.

    Returns
    -------
    bool
        False if this Dagster has no such hook; its runs are then spawned.
    """
    original: Callable[..., None] = grpc_server.DagsterApiServer.__init__
    known = _CONTEXT_HOOK in original.__code__.co_names

    def tuned(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if known:
            setattr(self, _CONTEXT_HOOK, _forking_context())
        _end_on_signal(getattr(self, _END_HOOK, None))

    setattr(grpc_server.DagsterApiServer, "__init__", tuned)  # noqa: B010 - mypy refuses the plain form
    return known


def spare_dbt(runner: DbtRunner) -> bool:
    """Let dagster-dbt read a parsed project as it does where dbt is not installed.

    Parameters
    ----------
    runner : DbtRunner
        Of the project that the definitions name.

    Returns
    -------
    bool
        False if the project has to be parsed first, which takes dbt.
    """
    is_parsed = runner.is_parsed  # reads the whole project
    if is_parsed:
        sys.modules["dbt"] = None  # type: ignore[assignment]  # the import system's word for "not to be had"
    return is_parsed


def _forking_context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    # Only after our own definitions are loaded and the web server has read them, so that its imports do not
    # take the processor from them. Whoever starts a run before that makes it come at once.
    timer = threading.Timer(PRELOAD_AFTER_S, forkserver.ensure_running)
    timer.daemon = True
    timer.start()
    return context


def _end_on_signal(over: threading.Event | None) -> None:
    """Dagster's server sleeps on through a SIGTERM, and would then be killed with its runs unfinished."""
    if over is None:
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Interface to listen on.")
@click.option("--port", type=int, required=True, help="Port to listen on.")
def main(host: str, port: int) -> None:
    """Serve the definitions of the project over gRPC."""
    if not tune_server():
        click.echo(
            "This Dagster does not tell how it starts runs; each will import everything anew.", err=True
        )
    spare_dbt(DbtRunner(load_settings()))
    words = ["grpc", "--host", host, "--port", str(port), "-m", DEFINITIONS, "--location-name", LOCATION]
    api_cli(words, prog_name="propdesk code server")


if __name__ == "__main__":
    sys.exit(main())
