"""Dagster's long-lived processes as plain descriptions; whoever supervises turns them into children."""

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from adapters.settings import CLONE_ROOT, Settings
from orchestration.instance import EVENT_BATCH_SIZE, LOCATION

LOOPBACK: Final = "127.0.0.1"
CALL_LIMIT_S: Final = 300
"""Longest wait of webserver and daemon for an answer of the code server."""
_ANSWER_S: Final = 2.0
_LOAD_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class DagsterProcess:
    """One process of Dagster.

    Parameters
    ----------
    name : str
    argv : tuple of str
        Program and arguments.
    env : mapping
        Added to the environment.
    cwd : Path
    ready : callable
        None once it serves, else the reason why not yet.
    stop_grace_s : float
        Time it gets to end before it is killed, s.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    ready: Callable[[], str | None] = field(repr=False)
    stop_grace_s: float = 8.0


def dagster_processes(
    home: Path, settings: Settings, *, code_port: int, webserver_port: int
) -> list[DagsterProcess]:
    """Describe code server, webserver and daemon, in the order in which they start.

    Parameters
    ----------
    home : Path
        Dagster's instance folder, written by `orchestration.instance.write_dagster_yaml`.
    settings : Settings
        Handed on to the children by the environment.
    code_port, webserver_port : int
        Free ports on the loopback interface.

    Returns
    -------
    list of DagsterProcess
        The webserver and the daemon connect to the code server again by themselves, so all three may be
        started at once. ``ready`` of the webserver also waits until the definitions are loaded.
    """
    env = dagster_environment(home, settings)
    python = sys.executable
    workspace = str(home / "workspace.yaml")
    page = f"http://{LOOPBACK}:{webserver_port}"

    def make(name: str, words: tuple[str, ...], ready: Callable[[], str | None]) -> DagsterProcess:
        return DagsterProcess(name, (python, "-m", *words), env, CLONE_ROOT, ready)

    return [
        make(
            "dagster-code",
            ("orchestration.code_server", "--host", LOOPBACK, "--port", str(code_port)),
            lambda: port_obstacle(code_port),
        ),
        make(
            "dagster-webserver",
            ("dagster_webserver", "-h", LOOPBACK, "-p", str(webserver_port), "-w", workspace),
            lambda: page_obstacle(page),
        ),
        make(
            "dagster-daemon",
            ("dagster._daemon", "run", "-w", workspace),
            lambda: daemon_obstacle(page),
        ),
    ]


def dagster_environment(home: Path, settings: Settings) -> dict[str, str]:
    """Give the environment that every process of Dagster needs.

    Parameters
    ----------
    home : Path
        Dagster's instance folder.
    settings : Settings
        Names the data folder, from which a child reads the rest.

    Returns
    -------
    dict
        ``PATH`` starts with the folder of this Python, since dbt is called by name.
    """
    binaries = str(Path(sys.executable).parent)
    return {
        "DAGSTER_HOME": str(home),
        "DAGSTER_EVENT_BATCH_SIZE": str(EVENT_BATCH_SIZE),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        # A first run waits until everything is imported in the process from which it is forked; within
        # Dagster's own minute a busy machine does not get there, and the run would be failed unstarted.
        "DAGSTER_GRPC_TIMEOUT_SECONDS": str(CALL_LIMIT_S),
        # Without it the code server waits a minute for calls that its own clients keep open.
        "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        # Each thread that allocates gets an arena of its own otherwise, up to eight per processor.
        "MALLOC_ARENA_MAX": "2",
        "PROPDESK_HOME": str(settings.home),
        "PYTHONPATH": str(CLONE_ROOT),
        "PATH": os.pathsep.join([binaries, os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
    }


def port_obstacle(port: int) -> str | None:
    """Tell why nothing answers on a port of the loopback interface; None if something does."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_ANSWER_S):
            return None
    except OSError as error:
        return f"nothing answers on port {port} ({error})"


def page_obstacle(base_url: str) -> str | None:
    """Tell why the webserver does not serve our definitions yet; None once it does."""
    query = (
        "{ workspaceOrError { __typename ... on Workspace { locationEntries { name loadStatus "
        "locationOrLoadError { __typename ... on PythonError { message } } } } } }"
    )
    found = _ask(base_url, query, _LOAD_S)
    if isinstance(found, str):
        return found
    entries = found.get("workspaceOrError", {}).get("locationEntries", [])
    ours = next((entry for entry in entries if entry["name"] == LOCATION), None)
    if ours is None or ours["loadStatus"] != "LOADED":
        return "the definitions are not loaded yet"
    problem = ours["locationOrLoadError"] or {}
    if problem.get("__typename") == "PythonError":
        return f"the definitions cannot be loaded: {problem['message'].strip()}"
    return None


def daemon_obstacle(base_url: str) -> str | None:
    """Tell why the daemon does not take runs from the queue yet; None once it does."""
    query = '{ instance { daemonHealth { daemonStatus(daemonType: "QUEUED_RUN_COORDINATOR") { healthy } } } }'
    found = _ask(base_url, query, _ANSWER_S)
    if isinstance(found, str):
        return found
    healthy = found.get("instance", {}).get("daemonHealth", {}).get("daemonStatus", {}).get("healthy")
    return None if healthy else "the daemon has not looked at the queue yet"


def _ask(base_url: str, query: str, timeout_s: float) -> dict[str, Any] | str:
    try:
        answer = httpx.post(f"{base_url}/graphql", json={"query": query}, timeout=timeout_s)
        answer.raise_for_status()
        content = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        return f"the webserver does not answer ({error})"
    return content.get("data") or f"the webserver refuses the question ({content.get('errors')})"
