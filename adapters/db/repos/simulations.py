"""What a simulation reads that nobody else does, and what it leaves behind (§4.8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from propdesk.core.errors import GapFault
from propdesk.model.enums import Category, ExitReason
from propdesk.sim.books import Book
from propdesk.sim.results import DayOutcome, SimulatedTrade

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

RUNNING: Final = "RUNNING"
DONE: Final = "DONE"
FAILED: Final = "FAILED"
INTERRUPTED: Final = "INTERRUPTED"

_LOCK_KEY = "hashtextextended('simulation|' || %(run_id)s, 0)"
_HEAD = f"""
    SELECT run_id, CASE WHEN state = '{RUNNING}' AND NOT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32 | objid::bigint) = hashtextextended('simulation|' || run_id, 0)
    ) THEN '{INTERRUPTED}' ELSE state END AS state,
    begun_at, ended_at, request, capital_paise, days_total, days_done, message
    FROM trading.simulation_runs WHERE account_id = %s
"""  # noqa: S608 - constants
_DAY = """
    INSERT INTO trading.simulation_days (account_id, run_id, book, trade_date, rules_of, ruleset_version,
        opening_paise, closing_paise, marked_paise, peak_utilisation_ratio, open_groups, decisions, switches,
        digest)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_TRADE_COLUMNS = (
    "group_id, leg_number, signal_id, advisor_id, category, rule_text, is_reverse, instrument_key, side, "
    "quantity, entry_ns, entry_paise, exit_ns, exit_paise, exit_reason, gross_pnl_paise, charges_paise, "
    "net_pnl_paise, risk_paise"
)
_COPY_TRADES = (
    f"COPY trading.simulation_trades (account_id, run_id, book, trade_date, {_TRADE_COLUMNS}) FROM STDIN"
)


@dataclass(frozen=True, slots=True)
class RunHead:
    """What is known of a simulation beside its days.

    ``state`` is RUNNING, DONE, FAILED or INTERRUPTED; one whose process was killed reads as INTERRUPTED,
    with the days it got to and no end. ``request`` holds what was asked and under which settings.
    """

    run_id: str
    state: str
    begun_at: datetime
    ended_at: datetime | None
    request: dict[str, Any]
    capital_paise: int
    days_total: int
    days_done: int
    message: str | None


def hold_run(connection: Connection, run_id: str) -> None:
    """Mark a run as at work until this session ends, however the process does.

    The server frees the lock with the connection, so that a killed process leaves nothing that looks alive.
    """
    connection.execute(f"SELECT pg_advisory_lock({_LOCK_KEY})".encode(), {"run_id": run_id})


def begin_run(connection: Connection, account_id: str, head: RunHead) -> None:
    """Store a simulation that begins, in the current transaction."""
    connection.execute(
        "INSERT INTO trading.simulation_runs (account_id, run_id, state, begun_at, request, capital_paise, "
        "days_total, days_done) VALUES (%s, %s, %s, %s, %s, %s, %s, 0)",
        (
            account_id,
            head.run_id,
            head.state,
            head.begun_at,
            Jsonb(head.request),
            head.capital_paise,
            head.days_total,
        ),
    )


def add_day(
    connection: Connection,
    account_id: str,
    run_id: str,
    days_done: int,
    outcomes: Mapping[Book, DayOutcome],
) -> None:
    """Store a day of every desk, and how far the run is, in the current transaction."""
    for book, day in outcomes.items():
        connection.execute(
            _DAY,
            (
                account_id,
                run_id,
                book.value,
                day.trade_date,
                day.rules_of,
                day.ruleset_version,
                day.opening_paise,
                day.closing_paise,
                day.marked_paise,
                day.peak_utilisation_ratio,
                day.open_groups,
                Jsonb(dict(day.decisions)),
                list(day.switches),
                day.digest,
            ),
        )
    with connection.cursor() as cursor, cursor.copy(_COPY_TRADES.encode()) as copy:
        for book, day in outcomes.items():
            for trade in day.trades:
                copy.write_row((account_id, run_id, book.value, day.trade_date, *_trade_values(trade)))
    connection.execute(
        "UPDATE trading.simulation_runs SET days_done = %s WHERE account_id = %s AND run_id = %s",
        (days_done, account_id, run_id),
    )


def end_run(
    connection: Connection, account_id: str, run_id: str, state: str, ended_at: datetime, message: str | None
) -> None:
    """Store how a run ended, in the current transaction."""
    connection.execute(
        "UPDATE trading.simulation_runs SET state = %s, ended_at = %s, message = %s "
        "WHERE account_id = %s AND run_id = %s",
        (state, ended_at, message, account_id, run_id),
    )


def list_runs(connection: Connection, account_id: str, limit: int) -> list[RunHead]:
    """List the simulations of an account, the newest first."""
    with connection.cursor(row_factory=class_row(RunHead)) as cursor:
        statement = f"{_HEAD} ORDER BY begun_at DESC, run_id LIMIT %s"
        return cursor.execute(statement.encode(), (account_id, limit)).fetchall()


def read_run(connection: Connection, account_id: str, prefix: str) -> RunHead:
    """Find the one simulation whose id begins with ``prefix``; `GapFault` if there is none, or more."""
    with connection.cursor(row_factory=class_row(RunHead)) as cursor:
        statement = f"{_HEAD} AND starts_with(run_id, %s) ORDER BY run_id LIMIT 2"
        found = cursor.execute(statement.encode(), (account_id, prefix)).fetchall()
    if len(found) != 1:
        many = "no simulation" if not found else "more than one simulation"
        raise GapFault(f"There is {many} {prefix!r}: `python3 run.py simulations list` shows them.")
    return found[0]


def read_days(connection: Connection, account_id: str, run_id: str) -> dict[Book, tuple[DayOutcome, ...]]:
    """Read every day of every desk of a run, in order."""
    trades: dict[tuple[str, date], list[SimulatedTrade]] = {}
    rows = connection.execute(
        f"SELECT book, trade_date, {_TRADE_COLUMNS} FROM trading.simulation_trades "  # noqa: S608 - constants
        "WHERE account_id = %s AND run_id = %s ORDER BY book, trade_date, exit_ns, group_id, leg_number",
        (account_id, run_id),
    )
    for book, day, *values in rows:
        trades.setdefault((book, day), []).append(_trade_of(values))
    rows = connection.execute(
        "SELECT book, trade_date, rules_of, ruleset_version, opening_paise, closing_paise, marked_paise, "
        "peak_utilisation_ratio, open_groups, decisions, switches, digest FROM trading.simulation_days "
        "WHERE account_id = %s AND run_id = %s ORDER BY book, trade_date",
        (account_id, run_id),
    )
    found: dict[Book, list[DayOutcome]] = {}
    for book, day, *v in rows:
        own = tuple(trades.get((book, day), ()))
        outcome = DayOutcome(day, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], own, tuple(v[8]), v[9])
        found.setdefault(Book(book), []).append(outcome)
    return {book: tuple(found[book]) for book in Book if book in found}


def _trade_values(trade: SimulatedTrade) -> tuple[object, ...]:
    return (
        trade.group_id,
        trade.leg_number,
        trade.signal_id,
        trade.advisor_id,
        trade.category.value,
        trade.rule_text,
        trade.is_reverse,
        trade.instrument_key,
        trade.side,
        trade.quantity,
        trade.entry_ns,
        trade.entry_paise,
        trade.exit_ns,
        trade.exit_paise,
        trade.exit_reason.value,
        trade.gross_pnl_paise,
        trade.charges_paise,
        trade.net_pnl_paise,
        trade.risk_paise,
    )


def _trade_of(values: list[Any]) -> SimulatedTrade:
    named = dict(zip(_TRADE_COLUMNS.split(", "), values, strict=True))
    named.update(category=Category(named["category"]), exit_reason=ExitReason(named["exit_reason"]))
    return SimulatedTrade(**named)
