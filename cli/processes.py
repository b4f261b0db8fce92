"""The long-lived processes of a running system as the supervisor wants them described."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from adapters.settings import CLONE_ROOT, ENV_PREFIX, Settings
from propdesk.core.errors import ConfigFault
from runtime.home import Home
from runtime.ports import PortBook
from runtime.process import ProcessSpec

DAGSTER_NAMES: Final = ("dagster-code", "dagster-webserver", "dagster-daemon")


def dagster_specs(home: Home, settings: Settings) -> tuple[list[ProcessSpec], str]:
    """Write Dagster's instance folder, make the upload folder and describe Dagster's three processes.

    Parameters
    ----------
    home : Home
    settings : Settings
        With the addresses of the running servers.

    Returns
    -------
    list of ProcessSpec
        Code server, webserver and daemon; they may be launched at once.
    str
        Address of the pages.

    Raises
    ------
    ConfigFault
        If a folder cannot be written.
    """
    from orchestration.instance import write_dagster_yaml
    from orchestration.processes import dagster_processes

    book = PortBook(home)
    code = book.take("dagster-code", settings.dagster_code_port, f"{ENV_PREFIX}DAGSTER_CODE_PORT")
    pages = book.take(
        "dagster-webserver", settings.dagster_webserver_port, f"{ENV_PREFIX}DAGSTER_WEBSERVER_PORT"
    )
    write_dagster_yaml(settings.dagster_home, settings, code_port=code)
    try:
        # A person is told to drop files there.
        settings.upload_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigFault(
            f"The upload folder {settings.upload_dir} cannot be made ({error.strerror}): make it, or set "
            f"{ENV_PREFIX}UPLOAD_DIR to a folder that you may write to."
        ) from error
    processes = dagster_processes(settings.dagster_home, settings, code_port=code, webserver_port=pages)
    specs = [
        ProcessSpec(
            name=process.name,
            argv=process.argv,
            env=process.env,
            cwd=process.cwd,
            log_file=home.logs / f"{process.name}.log",
            ready=process.ready,
            stop_grace_s=process.stop_grace_s,
            ready_timeout_s=settings.start_timeout_s,
        )
        for process in processes
    ]
    return specs, f"http://127.0.0.1:{pages}"


def python_spec(
    name: str,
    words: Sequence[str],
    home: Home,
    settings: Settings,
    ready: Callable[[], str | None],
    *,
    restart: bool = True,
    env: Mapping[str, str] | None = None,
) -> ProcessSpec:
    """Describe a process that runs one of our modules, e.g. the trading daemon.

    Parameters
    ----------
    name : str
        Names the process and its log file.
    words : sequence of str
        Module and arguments, as after ``python -m``.
    home : Home
    settings : Settings
        Handed on by the data folder's name.
    ready : callable
        None once it serves, else the reason why not yet.
    restart : bool
        Start it again when it ends with a fault; an exit code of 0 is the end of its work.
    env : mapping of str to str, optional
        Variables besides those that every process of ours has.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-m", *words),
        env={
            f"{ENV_PREFIX}HOME": str(settings.home),
            "PYTHONPATH": str(CLONE_ROOT),
            "PYTHONUNBUFFERED": "1",
            "PATH": path,
            **(env or {}),
        },
        cwd=CLONE_ROOT,
        log_file=home.logs / f"{name}.log",
        ready=ready,
        restart="on_failure" if restart else "never",
        stop_grace_s=12.0,
        ready_timeout_s=settings.start_timeout_s,
    )
