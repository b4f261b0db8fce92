"""What ``propdesk preflight`` looks at."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Final

import psycopg

from adapters.calendar import load_calendar
from adapters.clock import SystemClock
from adapters.db.engine import DatabaseUnreachable
from adapters.settings import Settings
from cli.database import open_transaction
from cli.doctor_checks import Finding, disk, schema
from propdesk.core.calendar import MarketCalendar, Segment
from propdesk.core.clock import NS_PER_DAY
from propdesk.core.errors import PropdeskError
from propdesk.risk.preflight import (
    Check,
    Verdict,
    judge_calendar,
    judge_levels,
    judge_prices,
    judge_protection,
    judge_rates,
    judge_readiness,
    judge_ruleset,
)
from runtime.home import Home
from runtime.servers import server_answers

if TYPE_CHECKING:
    from adapters.db.repos.day_sheets import Brief

_WORDS: Final = {"ok": Verdict.GREEN, "note": Verdict.NOTE, "broken": Verdict.RED}
_SERVERS: Final = (("postgres", "PostgreSQL"), ("redis", "Redis"), ("mongo", "MongoDB"))
_SERVE: Final = "start it (`python3 run.py up`), or look at its log and its address in the settings"


def run_preflight(settings: Settings, day: date) -> list[Check]:
    """Run every check; none raises.

    Parameters
    ----------
    settings : Settings
    day : date
        The day to be traded.
    """
    calendar = load_calendar()
    calendar_check = judge_calendar(calendar, day)
    checks = [
        *(_check(found) for found in disk(Home(settings.home))),
        *_servers(settings),
        *_schema(settings),
        calendar_check,
    ]
    if calendar_check.verdict is not Verdict.GREEN:
        return checks  # without a market day there is nothing that the rest could be asked for
    previous = calendar.previous_day(day)
    return [*checks, *_books(settings, day, previous), *_broker(settings, day, calendar)]


def _check(found: Finding) -> Check:
    return Check(found.check, _WORDS[found.verdict], found.detail, found.remedy)


def _schema(settings: Settings) -> list[Check]:
    try:
        return [_check(found) for found in schema(settings)]
    except psycopg.Error as fault:
        return [Check("schema", Verdict.UNKNOWN, str(fault).strip().splitlines()[0], _SERVE)]


def _servers(settings: Settings) -> Iterator[Check]:
    for kind, name in _SERVERS:
        if getattr(settings, f"{kind}_url") is None:
            what = "no live signals reach the daemon" if kind == "mongo" else "it is not set up"
            is_needed = kind == "postgres" or (kind == "mongo" and settings.trading_mode == "live")
            verdict = Verdict.RED if is_needed else Verdict.NOTE
            yield Check(name, verdict, what, f"set PROPDESK_{kind.upper()}_URL, or `python3 run.py up`")
            continue
        reason = server_answers(kind, settings)  # type: ignore[arg-type]
        yield (
            Check(name, Verdict.GREEN, "answers")
            if reason is None
            else Check(name, Verdict.RED, reason, _SERVE)
        )


def _books(settings: Settings, day: date, previous: date) -> Iterator[Check]:
    """Check what stands in the database and, by what is carried, in the price store."""
    from adapters.brokers.dhan.broker import CAPABILITIES
    from adapters.db.repos.day_sheets import read_brief
    from adapters.db.repos.preflights import sent_since
    from propdesk.model.enums import GateProfile

    now_ns = SystemClock().now_ns()
    names = ("readiness", "ruleset", "protection", "kill levels", "rate limits", "prices")
    try:
        with open_transaction(settings, "reader", "propdesk-preflight") as connection:
            brief = read_brief(connection, settings.account_id, day, GateProfile(settings.gate_profile))
            sent = sent_since(connection, settings.account_id, now_ns - NS_PER_DAY)
    except (PropdeskError, DatabaseUnreachable, psycopg.Error) as fault:
        reason = str(fault).strip().splitlines()[0]
        yield from (
            Check(name, Verdict.UNKNOWN, f"the books cannot be read: {reason}", _SERVE) for name in names
        )
        return
    yield from _of_brief(brief, previous)
    if CAPABILITIES.order_rates is not None:
        yield judge_rates(sent, now_ns, CAPABILITIES.order_rates)
    yield _asked("prices", lambda: _prices(settings, brief, previous))


def _of_brief(brief: "Brief", previous: date) -> Iterator[Check]:
    from trading_daemon.premarket import STEPS

    missing = [name for name in STEPS if name not in brief.steps]
    yield judge_readiness(missing, is_ready=brief.is_ready)
    is_pinned = "pinned_by" in brief.steps.get("regime", {})
    yield judge_ruleset(brief.ruleset_version, brief.as_of_date, previous, is_pinned=is_pinned)
    yield judge_protection(brief.unprotected, len(brief.held))
    yield judge_levels(brief.levels)


def _prices(settings: Settings, brief: "Brief", previous: date) -> Check:
    from adapters.ticks.opening import open_store
    from trading_daemon.premarket import MARKET_KEY

    keys = sorted({MARKET_KEY, *(one["instrument_key"] for one in brief.held)})
    there = open_store(settings).daily_bars(keys, previous, previous)
    return judge_prices([key for key in keys if key not in there], len(keys), previous)


def _broker(settings: Settings, day: date, calendar: MarketCalendar) -> list[Check]:
    if settings.broker == "paper" and settings.trading_mode == "paper":
        return [Check("broker", Verdict.GREEN, "the paper broker needs no session")]
    close_ns = calendar.hours(day, Segment.CASH).close_ns
    try:
        return asyncio.run(_ask_broker(settings, close_ns))
    except PropdeskError as fault:
        return [Check("broker", Verdict.RED, str(fault), "look at the settings PROPDESK_DHAN_…")]


async def _ask_broker(settings: Settings, close_ns: int) -> list[Check]:
    from adapters.brokers.dhan.auth import FileTokenStore
    from adapters.brokers.dhan.client import DhanClient
    from adapters.brokers.dhan.config import trading_config
    from adapters.brokers.dhan.preflight import check_broker
    from adapters.brokers.dhan.stepped import SandboxClock

    config = trading_config(settings)
    store = FileTokenStore(settings.home / "run" / f"dhan-token-{settings.account_id}")
    if not settings.dhan_is_local:
        async with DhanClient(config, SystemClock(), store=store) as client:
            return await check_broker(client, SystemClock(), close_ns, settings.category_allocations)
    clock = SandboxClock(config.rest_url)
    try:
        await clock.advance_to(0)  # moves nothing, and tells the sandbox's time
        async with DhanClient(config, clock, store=store, is_stepped=True) as client:
            return await check_broker(client, clock, close_ns, settings.category_allocations)
    finally:
        await clock.close()


def _asked(name: str, ask: Callable[[], Check]) -> Check:
    try:
        return ask()
    except (PropdeskError, OSError) as fault:
        return Check(name, Verdict.UNKNOWN, str(fault), "see what the sentence names, and try again")
