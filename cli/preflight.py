"""``propdesk preflight``: may the day be traded? One verdict before the open (§5.2)."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from adapters.settings import Settings, load_settings
from cli.output import EXIT_FAILURE, JsonOption, emit, parse_day, say, show_table

if TYPE_CHECKING:
    from datetime import date

    from propdesk.risk.preflight import Check, Outcome

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
        checks = run_preflight(settings, chosen)
        outcome = outcome_of(checks, is_live=settings.trading_mode == "live")
        is_kept = _keep(settings, chosen, now_ns, outcome, checks)
        if as_json:
            emit(
                {
                    "account_id": settings.account_id,
                    "trade_date": chosen,
                    "mode": settings.trading_mode,
                    "outcome": outcome.value,
                    "is_recorded": is_kept,
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


def _keep(settings: Settings, day: "date", now_ns: int, outcome: "Outcome", checks: "list[Check]") -> bool:
    """Record the verdict, which the daemon asks for in live mode; one that cannot be recorded is said so."""
    import psycopg

    from adapters.db.repos.preflights import PreflightRecord, add_preflight
    from cli.database import open_transaction
    from propdesk.core.errors import PropdeskError

    is_paper = settings.broker == "paper" and settings.trading_mode == "paper"
    broker = "paper" if is_paper else settings.dhan_rest_url
    record = PreflightRecord(now_ns, settings.trading_mode, broker, outcome)
    try:
        with open_transaction(settings, "daemon", "propdesk-preflight") as connection:
            add_preflight(connection, settings.account_id, day, record, checks)
    except (PropdeskError, psycopg.Error) as fault:
        say(f"The verdict is not recorded: {str(fault).strip().splitlines()[0]}")
        return False
    return True
