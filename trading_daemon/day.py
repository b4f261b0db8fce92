"""Load what a day needs from the database and the dated files."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from adapters.calendar import load_calendar
from adapters.config_files import load_charges, load_margins
from adapters.config_risk import load_risk
from adapters.db.engine import begin, create_engine
from adapters.db.repos.instruments import read_instruments
from adapters.db.repos.readiness import (
    Connection,
    Readiness,
    closing_corpus,
    read_readiness,
    read_regimes,
    write_readiness,
)
from adapters.db.repos.rulesets import read_ruleset
from adapters.settings import Settings
from adapters.ticks.store import ParquetPriceStore
from adapters.uploads.profiles import load_aliases
from propdesk.core.calendar import MarketCalendar, ist_date
from propdesk.core.errors import StaleFault
from propdesk.engine.context import DayContext
from propdesk.engine.snapshot import ContextSnapshot, StoredContext, read_snapshot, store_form
from propdesk.intake.aliases import Aliases
from propdesk.model.messages import DayOpened
from propdesk.model.rule import RuleSet
from trading_daemon.day_context import (
    NO_RULESET,
    build_context,
    empty_ruleset,
    resolver_of,
    take_snapshot,
    traded_values,
    unanswered,
)


@dataclass(frozen=True, slots=True)
class Day:
    """A trading day as pre-market left it.

    ``stored`` is what ``context`` was made of; ``opened`` says so to the reducer (its stamp is set later);
    ``readiness`` is the version of the record both were made by (`Readiness.version`).
    """

    context: DayContext
    stored: StoredContext
    opened: DayOpened
    aliases: Aliases
    readiness: str


def day_to_trade(calendar: MarketCalendar, now_ns: int) -> date:
    """Today in IST where it is a market day, else the next one."""
    today = ist_date(now_ns)
    return today if calendar.is_market_day(today) else calendar.next_day(today)


def load_day(settings: Settings, trade_date: date, *, is_over: bool = False) -> Day:
    """Load rules, regimes, instruments and models of one day.

    Parameters
    ----------
    settings : Settings
    trade_date : date
        A market day.
    is_over : bool
        The day is past and only brought to its end: it is never ready, so nothing enters on it.

    Returns
    -------
    Day
        Without a readiness record: no rules, not ready; the daemon records crowd and decisions and trades
        nothing.

    Raises
    ------
    StaleFault
        If ``trade_date`` is no market day.

    Notes
    -----
    The context is made of the snapshot as it will be read back: what cannot be stored cannot be decided by.
    """
    calendar = load_calendar()
    if not calendar.is_market_day(trade_date):
        raise StaleFault(f"{trade_date} is no market day; the next one is {calendar.next_day(trade_date)}.")
    aliases = load_aliases()
    engine = create_engine(settings.database_url("daemon"), "propdesk-day")
    try:
        with begin(engine) as connection:
            record = read_readiness(connection, settings.account_id, trade_date, is_locked=True)
            ready = _agree_corpus(connection, record)
            closing = closing_corpus(connection, settings.account_id, trade_date)
            instruments = tuple(read_instruments(connection, trade_date, trade_date))
            stored = store_form(
                take_snapshot(
                    settings,
                    trade_date,
                    ruleset_version=ready.ruleset_version or NO_RULESET,
                    regimes=read_regimes(connection, trade_date),
                    calendar=calendar,
                    charges=load_charges(),
                    margins=load_margins(),
                    risk=load_risk(trade_date, settings.risk_file),
                    traded_values=traded_values(
                        ParquetPriceStore(settings.price_store_url, calendar),
                        instruments,
                        calendar,
                        calendar.previous_day(trade_date),
                    ),
                )
            )
            snapshot = read_snapshot(stored)
            resolve = resolver_of(instruments, aliases)
            context = build_context(snapshot, _ruleset(connection, snapshot), resolve)
    finally:
        engine.dispose()
    opened = DayOpened(
        trade_date=trade_date.isoformat(),
        ruleset_version=snapshot.ruleset_version,
        opening_corpus_paise=_opening_paise(ready, closing),
        ready=ready.is_ready and not is_over,
        ts_ns=0,
        context_hash=stored.context_hash,
    )
    return Day(context, stored, opened, aliases, ready.version)


def restore_day(settings: Settings, trade_date: date, stored: StoredContext) -> Day:
    """Take a past day up under the context it was last decided under, to bring it to its end.

    The instrument master of that day answers what its journal was never asked.
    """
    aliases = load_aliases()
    engine = create_engine(settings.database_url("daemon"), "propdesk-day")
    try:
        with begin(engine) as connection:
            ready = read_readiness(connection, settings.account_id, trade_date)
            closing = closing_corpus(connection, settings.account_id, trade_date)
            instruments = read_instruments(connection, trade_date, trade_date)
            snapshot = read_snapshot(stored)
            context = build_context(
                snapshot, _ruleset(connection, snapshot), resolver_of(instruments, aliases)
            )
    finally:
        engine.dispose()
    opened = DayOpened(
        trade_date=trade_date.isoformat(),
        ruleset_version=snapshot.ruleset_version,
        opening_corpus_paise=_opening_paise(ready, closing),
        ready=False,
        ts_ns=0,
        context_hash=stored.context_hash,
    )
    return Day(context, stored, opened, aliases, ready.version)


def _opening_paise(ready: Readiness, closing_paise: int | None) -> int:
    """Give the corpus that a day opens with: what is carried has its margin before pre-market is over, too.

    More than all of it may be lost: what is below zero stays so, or each day would forgive it.
    """
    opening = ready.opening_corpus_paise
    return (closing_paise or 0) if opening is None else opening


def _agree_corpus(connection: Connection, ready: Readiness) -> Readiness:
    """Let the opening corpus follow the ledger where the day before ended after pre-market had read it.

    A corpus that is used up meanwhile opens no day: pre-market says so when it is run again.
    """
    closing = closing_corpus(connection, ready.account_id, ready.trade_date)
    if closing is None or ready.opening_corpus_paise in (None, closing):
        return ready
    if closing > 0:
        found = {**ready.steps.get("corpus", {}), "opening_paise": closing, "from": "closing ledger"}
        ready = replace(ready, opening_corpus_paise=closing, steps={**ready.steps, "corpus": found})
    else:
        steps = {name: found for name, found in ready.steps.items() if name != "corpus"}
        ready = replace(ready, opening_corpus_paise=None, ready_at=None, steps=steps)
    write_readiness(connection, ready)
    return ready


def restore_contexts(settings: Settings, stored: Iterable[StoredContext]) -> dict[str, DayContext]:
    """Make the contexts that a day's journal was decided under, by hash; only for folding it again."""
    engine = create_engine(settings.database_url("daemon"), "propdesk-day")
    try:
        with begin(engine) as connection:
            found = {}
            for one in stored:
                snapshot = read_snapshot(one)
                found[one.context_hash] = build_context(snapshot, _ruleset(connection, snapshot), unanswered)
            return found
    finally:
        engine.dispose()


def _ruleset(connection: Connection, snapshot: ContextSnapshot) -> RuleSet:
    if snapshot.ruleset_version == NO_RULESET:
        return empty_ruleset(snapshot.profile)
    return read_ruleset(connection, snapshot.ruleset_version)
