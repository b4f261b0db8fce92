"""``propdesk status``, ``down`` and ``doctor``."""

import signal
from dataclasses import asdict
from typing import Annotated, Final

import typer

from adapters.settings import Settings, load_settings
from cli.output import EXIT_FAILURE, EXIT_NOT_RUNNING, JsonOption, emit, say, show_table
from runtime.home import Home, read_json
from runtime.ports import PortBook
from runtime.supervisor import claimant, end_left_behind, remembered

DOWN_GRACE_S: Final = 60.0


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def status(as_json: JsonOption = False) -> None:
        """Show what of this clone's system runs, with addresses and folders.

        Exit code 0 if it is up and ready, 3 if not.
        """
        settings = load_settings()
        found = describe(Home(settings.home), settings)
        if as_json:
            emit(found)
        else:
            _show_status(found)
        raise typer.Exit(0 if found["ready"] else EXIT_NOT_RUNNING)

    @app.command()
    def down() -> None:
        """Stop every process of this clone's system; data stays."""
        home = Home(load_settings().home)
        running = claimant(home)
        if running is not None:
            say(f"Asking the running system (pid {running.pid}) to stop.")
            running.end(signal.SIGTERM, grace_s=DOWN_GRACE_S)
        left = end_left_behind(home, report=say)
        say("Stopped." if running or left else "Nothing of this clone's system runs.")

    @app.command()
    def doctor(
        as_json: JsonOption = False,
        offline: Annotated[bool, typer.Option("--offline", help="Do not start any program.")] = False,
    ) -> None:
        """Say in words what is missing or broken, and what to do about it.

        Exit code 0 if nothing is broken, 1 if something is.
        """
        from cli.doctor_checks import run_checks  # database and server libraries

        findings = run_checks(load_settings(), start_programs=not offline)
        broken = any(finding.verdict == "broken" for finding in findings)
        if as_json:
            emit({"ok": not broken, "checks": [asdict(finding) for finding in findings]})
        else:
            rows = [(f.check, f.verdict, f.detail, f.remedy) for f in findings]
            show_table("propdesk doctor", ("check", "verdict", "found", "remedy"), rows)
        raise typer.Exit(EXIT_FAILURE if broken else 0)


def describe(home: Home, settings: Settings) -> dict[str, object]:
    """Collect what ``status`` shows.

    Parameters
    ----------
    home : Home
    settings : Settings

    Returns
    -------
    dict
        ``running``, ``ready``, ``stage`` (what ``up`` is at until it is ready), ``pid``, ``account_id``,
        ``trading_mode``, ``home``, ``dagster_url``, ``api_url``, ``ui_url``, ``upload_dir``, ``logs`` and
        ``processes`` (each with name, pid and port).
    """
    running = claimant(home)
    noted = read_json(home.state_file) if running else {}
    is_ready = noted.get("ready") is True
    ports = PortBook(home).known()
    processes = [
        {"name": name, "pid": identity.pid, "port": ports.get(name)}
        for name, identity in remembered(home).items()
    ]
    pages, api, ui = ports.get("dagster-webserver"), ports.get("api"), ports.get("ui")
    return {
        "running": running is not None,
        "ready": is_ready,
        "stage": None if is_ready else noted.get("stage"),
        "pid": running.pid if running else None,
        "account_id": settings.account_id,
        "trading_mode": settings.trading_mode,
        "home": str(home.path),
        "logs": str(home.logs),
        "upload_dir": str(settings.upload_dir),
        "dagster_url": f"http://127.0.0.1:{pages}" if running and pages else None,
        "api_url": f"http://127.0.0.1:{api}/api/v1" if running and api else None,
        "ui_url": f"http://127.0.0.1:{ui}" if running and ui else None,
        "processes": processes,
    }


def _show_status(found: dict[str, object]) -> None:
    state = "not running; start it with python3 run.py up"
    if found["running"]:
        state = "up" if found["ready"] else f"at work: {found['stage'] or 'starting'}"
        state += f" (pid {found['pid']})"
    rows: list[tuple[str, object]] = [
        ("system", state),
        ("account", f"{found['account_id']} ({found['trading_mode']})"),
        ("dashboard", found["ui_url"]),
        ("Dagster", found["dagster_url"]),
        ("API", found["api_url"]),
        ("upload folder", found["upload_dir"]),
        ("logs", found["logs"]),
        ("data folder", found["home"]),
    ]
    show_table("propdesk", ("what", "where"), rows)
    processes = found["processes"]
    if isinstance(processes, list) and processes:
        show_table(
            "Processes", ("name", "pid", "port"), [(p["name"], p["pid"], p["port"]) for p in processes]
        )
