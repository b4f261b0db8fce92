"""Dagster's instance folder: what stands in dagster.yaml and workspace.yaml, and why."""

from pathlib import Path
from typing import Any, Final

import yaml
from sqlalchemy import URL, make_url

from adapters.settings import Settings
from propdesk.core.errors import ConfigFault

LOCATION: Final = "propdesk"
DEFINITIONS: Final = "orchestration.definitions"
POSTGRES_SCHEME: Final = "postgresql+psycopg2"
"""Dagster sends NOTIFY with a bound parameter, which psycopg 3 and PostgreSQL refuse."""
EVENT_BATCH_SIZE: Final = 1000
"""Materialisations of a range run are written in batches of this size by every process of Dagster."""
RUNS_AT_ONCE: Final = 2
DEQUEUE_S: Final = 1
TICKS_KEPT_DAYS: Final = 7
"""Sensors tick every few seconds; schedules keep theirs as long as the runs."""


def write_dagster_yaml(home: Path, settings: Settings, *, code_port: int = 0) -> Path:
    """Write Dagster's instance folder anew.

    Parameters
    ----------
    home : Path
        Dagster's instance folder (``DAGSTER_HOME``); made if it does not exist.
    settings : Settings
        Gives the database of runs and events, and the retention.
    code_port : int
        Port of the code server on the loopback interface; 0 takes ``settings.dagster_code_port``. With
        neither no workspace.yaml is written.

    Returns
    -------
    Path
        The written dagster.yaml.

    Raises
    ------
    ConfigFault
        If the folder cannot be written.
    NotConfigured
        If no database for Dagster is known.
    """
    port = code_port or settings.dagster_code_port
    files = {"dagster.yaml": dagster_yaml(settings.dagster_database_url(), home, settings)}
    if port:
        files["workspace.yaml"] = workspace_yaml(port)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in files.items():
            _write_private(home / name, yaml.safe_dump(content, sort_keys=False))
    except OSError as error:
        raise ConfigFault(
            f"Dagster's folder {home} cannot be written ({error.strerror}): free space, correct its owner "
            "or set PROPDESK_DAGSTER_HOME."
        ) from error
    return home / "dagster.yaml"


def dagster_yaml(database_url: str, home: Path, settings: Settings) -> dict[str, Any]:
    """Compose the content of dagster.yaml.

    Parameters
    ----------
    database_url : str
        Database of Dagster's own tables.
    home : Path
        Folder under which run storage and compute logs lie.
    settings : Settings
        Retention and time limits.

    Returns
    -------
    dict
        Ready for `yaml.safe_dump`.
    """
    url = make_url(database_url)
    return {
        "storage": {
            "custom": {
                "module": "orchestration.storage",
                "class": "BatchingStorage",
                "config": {"postgres_db": _postgres(url)},
            }
        },
        "local_artifact_storage": {
            "module": "dagster._core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(home)},
        },
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(home / "compute_logs")},
        },
        "run_coordinator": {
            "module": "dagster._core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {"dequeue_interval_seconds": DEQUEUE_S},
        },
        "concurrency": {
            # Two runs never write the same tables at once: a step replaces its days.
            "pools": {"default_limit": 1, "granularity": "run"},
            "runs": {"max_concurrent_runs": RUNS_AT_ONCE},
        },
        "run_monitoring": {
            "enabled": True,
            "start_timeout_seconds": 180,
            "cancel_timeout_seconds": 60,
            "max_runtime_seconds": settings.run_timeout_s,
            "poll_interval_seconds": 30,
        },
        "run_retries": {"enabled": False},
        "retention": {
            "schedule": {"purge_after_days": settings.retention_runs_days},
            "sensor": {"purge_after_days": TICKS_KEPT_DAYS},
        },
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }


def workspace_yaml(port: int) -> dict[str, Any]:
    """Compose the content of workspace.yaml: one code server on the loopback interface."""
    return {"load_from": [{"grpc_server": {"host": "127.0.0.1", "port": port, "location_name": LOCATION}}]}


def _postgres(url: URL) -> dict[str, Any]:
    return {
        "scheme": POSTGRES_SCHEME,
        "username": url.username or "",
        "password": url.password or "",
        "hostname": url.host or "127.0.0.1",
        "port": url.port or 5432,
        "db_name": url.database or "",
    }


def _write_private(file: Path, text: str) -> None:
    """Only we may read it: it holds the password of Dagster's database."""
    fresh = file.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)
