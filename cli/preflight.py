"""``propdesk preflight``: may the day be traded? One verdict before the open (§5.2)."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from adapters.settings import Settings, load_settings
from cli.output import EXIT_FAILURE, JsonOption, emit, parse_day, say, show_table

if TYPE_CHECKING:
    from datetime import date

    from propdesk.risk.preflight import Check, Outcome

_APPLICATION: Final = "propdesk-preflight"
_RECORD: Final = "daemon's books"
_WORDS: Final = {
    "PASSED": "may be traded",
    "UNKNOWN": "may NOT be traded live: not everything could be found out",
    "FAILED": "may NOT be traded",
}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def preflight(
        day: Annotated[
            str | None, typer.Argument(help="Market day; default: today, or the next one.")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Say whether a day may be traded, and if not why; exit code 1 unless it may."""
        from adapters.calendar import load_calendar
        from adapters.clock import SystemClock
        from cli.preflight_checks import run_preflight
        from propdesk.risk.preflight import Outcome, outcome_of
        from trading_daemon.day import day_to_trade

        settings, now_ns = load_settings(), SystemClock().now_ns()
        chosen = day_to_trade(load_calendar(), now_ns) if day is None else parse_day(day, "DAY")
        number, begun = _begin(settings, chosen, now_ns)
        checks = [*run_preflight(settings, chosen), begun]
        outcome = outcome_of(checks, is_live=settings.trading_mode == "live")
        if number is not None and (unkept := _end(settings, chosen, number, outcome, checks)) is not None:
            number, outcome = None, Outcome.FAILED
            checks[-1] = unkept
        if as_json:
            emit(
                {
                    "account_id": settings.account_id,
                    "trade_date": chosen,
                    "mode": settings.trading_mode,
                    "outcome": outcome.value,
                    "is_recorded": number is not None,
                    "checks": [asdict(one) for one in checks],
                }
            )
        else:
            show_table(
                f"Preflight of {chosen}, account {settings.account_id}, {settings.trading_mode} mode",
                ("check", "verdict", "found", "what to do"),
                [(one.name, one.verdict.value, one.found, one.remedy) for one in checks],
            )
            say(f"{outcome.value}: {chosen} {_WORDS[outcome.value]}.")
        if outcome is not Outcome.PASSED:
            raise typer.Exit(EXIT_FAILURE)


def _begin(settings: Settings, day: "date", now_ns: int) -> "tuple[int | None, Check]":
    """Note the beginning by the daemon's own role: from here on no older verdict stands."""
    import psycopg

    from adapters.db.repos.preflights import PreflightRecord, begin_preflight
    from cli.database import open_transaction
    from propdesk.core.errors import PropdeskError
    from propdesk.risk.preflight import Check, Verdict

    record = PreflightRecord(now_ns, settings.trading_mode, settings.broker_identity, None)
    try:
        with open_transaction(settings, "daemon", _APPLICATION) as connection:
            number = begin_preflight(connection, settings.account_id, day, record)
    except (PropdeskError, psycopg.Error) as fault:
        return None, _unkept(fault)
    return number, Check(_RECORD, Verdict.GREEN, "the daemon's role can write the books")


def _end(
    settings: Settings, day: "date", number: int, outcome: "Outcome", checks: "list[Check]"
) -> "Check | None":
    """Record the verdict, which the daemon asks for in live mode; gives what is wrong if it cannot be."""
    import psycopg

    from adapters.db.repos.preflights import end_preflight
    from cli.database import open_transaction
    from propdesk.core.errors import PropdeskError

    try:
        with open_transaction(settings, "daemon", _APPLICATION) as connection:
            end_preflight(connection, settings.account_id, day, number, outcome, checks)
    except (PropdeskError, psycopg.Error) as fault:
        return _unkept(fault)
    return None


def _unkept(fault: Exception) -> "Check":
    from propdesk.risk.preflight import Check, Verdict

    reason = str(fault).strip().splitlines()[0]
    remedy = "see PROPDESK_POSTGRES_DAEMON_URL and the rights of that role"
    return Check(_RECORD, Verdict.RED, f"the daemon's role cannot record the verdict: {reason}", remedy)
