"""Load what a day needs from the database and the dated files."""

from dataclasses import dataclass
from datetime import date

from adapters.calendar import load_calendar
from adapters.config_files import load_charges, load_margins
from adapters.db.engine import begin, create_engine
from adapters.db.repos.instruments import read_instruments
from adapters.db.repos.readiness import read_readiness, read_regimes
from adapters.db.repos.rulesets import read_ruleset
from adapters.settings import Settings
from adapters.uploads.profiles import load_aliases
from propdesk.core.calendar import MarketCalendar, ist_date
from propdesk.core.errors import StaleFault
from propdesk.engine.context import DayContext
from propdesk.intake.aliases import Aliases
from propdesk.model.enums import GateProfile
from propdesk.model.messages import DayOpened
from trading_daemon.day_context import DayInputs, build_context, empty_ruleset


@dataclass(frozen=True, slots=True)
class Day:
    """A trading day as pre-market left it; ``opened`` says so to the reducer (its stamp is set later)."""

    context: DayContext
    opened: DayOpened
    aliases: Aliases


def day_to_trade(calendar: MarketCalendar, now_ns: int) -> date:
    """Today in IST where it is a market day, else the next one."""
    today = ist_date(now_ns)
    return today if calendar.is_market_day(today) else calendar.next_day(today)


def load_day(settings: Settings, trade_date: date) -> Day:
    """Load rules, regimes, instruments and models of one day.

    Parameters
    ----------
    settings : Settings
    trade_date : date
        A market day.

    Returns
    -------
    Day
        Without a readiness record: no rules, not ready; the daemon records crowd and decisions and trades
        nothing.

    Raises
    ------
    StaleFault
        If ``trade_date`` is no market day.
    """
    calendar = load_calendar()
    if not calendar.is_market_day(trade_date):
        raise StaleFault(f"{trade_date} is no market day; the next one is {calendar.next_day(trade_date)}.")
    engine = create_engine(settings.database_url("daemon"), "propdesk-day")
    try:
        with begin(engine) as connection:
            ready = read_readiness(connection, settings.account_id, trade_date)
            ruleset = (
                empty_ruleset(GateProfile(settings.gate_profile))
                if ready.ruleset_version is None
                else read_ruleset(connection, ready.ruleset_version)
            )
            inputs = DayInputs(
                trade_date=trade_date,
                ruleset=ruleset,
                regimes=read_regimes(connection, trade_date),
                instruments=tuple(read_instruments(connection, trade_date, trade_date)),
                aliases=load_aliases(),
                calendar=calendar,
                charges=load_charges(),
                margins=load_margins(),
            )
    finally:
        engine.dispose()
    opened = DayOpened(
        trade_date=trade_date.isoformat(),
        ruleset_version=ruleset.ruleset_version,
        opening_corpus_paise=ready.opening_corpus_paise or 0,
        ready=ready.is_ready,
        ts_ns=0,
    )
    return Day(build_context(settings, inputs), opened, inputs.aliases)
