"""``backfill`` and ``db migrate``: compute days anew, bring the database to the newest schema."""

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.settings import load_settings
from cli.database import open_transaction
from cli.output import (
    EXIT_FAILURE,
    JsonOption,
    NotRunning,
    emit,
    parse_day,
    progress_console,
    say,
    show_table,
)

if TYPE_CHECKING:
    from orchestration.launch import RunState


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.command()(backfill)
    database = typer.Typer(no_args_is_help=True, help="The database's schema.")
    database.command("migrate")(migrate)
    app.add_typer(database, name="db")


def backfill(
    first: Annotated[str, typer.Argument(metavar="FROM", help="First day; drawn in to a market day.")],
    last: Annotated[str, typer.Argument(metavar="TO", help="Last day; drawn in to a market day.")],
    steps: Annotated[
        str | None,
        typer.Option("--steps", help="Steps, groups or tables, separated by commas, e.g. 5,7,trades."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until the run has ended.")] = True,
    hashes: Annotated[
        bool, typer.Option("--hashes/--no-hashes", help="Print a hash of each table's rows of the range.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Compute a range of days in one run, through Dagster's queue."""
    from adapters.calendar import load_calendar
    from orchestration.launch import launch_range, snap_range

    begin, end = snap_range(load_calendar(), parse_day(first, "FROM"), parse_day(last, "TO"))
    selection = None if steps is None else [word.strip() for word in steps.split(",") if word.strip()]
    base_url = running_webserver()
    run_id = launch_range(base_url, begin, end, selection)
    say(f"Run over {begin} to {end}: {base_url}/runs/{run_id}")
    if not wait:
        _tell(None, {}, run_id, begin, end, as_json=as_json)
        return
    state = _follow(base_url, run_id)
    tables = _digests(begin, end) if hashes and state.status == "SUCCESS" else {}
    _tell(state, tables, run_id, begin, end, as_json=as_json)
    if state.status != "SUCCESS":
        _explain(base_url, state)
        raise typer.Exit(EXIT_FAILURE)


def migrate(as_json: JsonOption = False) -> None:
    """Create or upgrade every schema, triggers and rights; safe to repeat."""
    from adapters.db.migrate import upgrade

    revision = upgrade(load_settings().database_url())
    if as_json:
        emit({"revision": revision})
    else:
        say(f"The database is at the newest schema ({revision}).")


def running_webserver() -> str:
    """Give the address of this data folder's Dagster; raises `NotRunning` if there is none."""
    from cli.lifecycle import describe
    from runtime.home import Home

    settings = load_settings()
    address = describe(Home(settings.home), settings)["dagster_url"]
    if not address:
        raise NotRunning(
            "A backfill runs in Dagster, which is not running: start it with `python3 run.py up` first."
        )
    return str(address)


def _follow(base_url: str, run_id: str) -> "RunState":
    from orchestration.launch import wait_for

    with progress_console().status("waiting in the queue") as shown:

        def tell(state: "RunState") -> None:
            done = sum(step.seconds is not None for step in state.steps)
            running = next((step.name for step in reversed(state.steps) if step.seconds is None), None)
            shown.update(f"{done} steps done" + (f", {running} runs" if running else ""))

        return wait_for(base_url, run_id, tell)


def _digests(first: date, last: date) -> dict[str, tuple[int, str]]:
    from adapters.db.repos.digests import digest_tables

    with open_transaction(load_settings(), "reader", "propdesk-backfill") as connection:
        return digest_tables(connection, first, last)


def _tell(
    state: "RunState | None",
    tables: dict[str, tuple[int, str]],
    run_id: str,
    first: date,
    last: date,
    *,
    as_json: bool,
) -> None:
    if as_json:
        found: dict[str, object] = {"run_id": run_id, "first": first, "last": last, "status": "QUEUED"}
        prints = {name: {"rows": rows, "hash": digest} for name, (rows, digest) in tables.items()}
        emit(found if state is None else {**found, **asdict(state), "tables": prints})
        return
    if state is None:
        return
    rows = [(step.name, step.status, step.seconds) for step in state.steps]
    show_table(
        f"Run {run_id}: {state.status}",
        ("step", "status", "seconds"),
        [(n, s, None if t is None else round(t, 1)) for n, s, t in rows],
    )
    if tables:
        show_table(
            f"Rows from {first} to {last}; equal input gives equal hashes",
            ("table", "rows", "hash"),
            [(name, rows, digest) for name, (rows, digest) in tables.items()],
        )
    say(f"Queue, process start and planning {state.wait_s or 0:.1f} s; steps {state.work_s or 0:.1f} s.")


def _explain(base_url: str, state: "RunState") -> None:
    from orchestration.launch import failures_of

    for sentence in failures_of(base_url, state.run_id) or [f"see {base_url}/runs/{state.run_id}"]:
        say(f"The run ended as {state.status}: {sentence}")
