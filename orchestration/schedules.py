"""When things run, in IST and on market days only.

Dagster's own schedule for a partitioned job fires on closed days, for a day that has not come. These fire
every day and skip by the market calendar, so that weekend sessions are served too.
"""

from datetime import date, datetime
from typing import Final

from dagster import (
    DefaultScheduleStatus,
    ResourceParam,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from adapters.db.repos.pipeline import oldest_open_day
from adapters.settings import Settings
from assets._shared.partitions import MARKET_DAYS, TIMEZONE
from assets._shared.resources import Database, Market
from orchestration.jobs import CHAIN, PREMARKET, SIGNALS_TO_EXCURSIONS, recordings, retention
from orchestration.launch import RANGE_END, RANGE_START
from propdesk.core.calendar import IST, MarketCalendar


def market_day_of(calendar: MarketCalendar, moment: datetime, *, previous: bool) -> date | None:
    """Give the market day that a schedule serves.

    Parameters
    ----------
    calendar : MarketCalendar
    moment : datetime
        Aware; when it fires.
    previous : bool
        Serve the last market day before that day instead of the day itself.

    Returns
    -------
    date or None
        None if the day of ``moment`` in IST is no market day.
    """
    today = moment.astimezone(IST).date()
    if not calendar.is_market_day(today):
        return None
    return calendar.previous_day(today) if previous else today


def daily_request(name: str, day: date, oldest: date | None) -> RunRequest:
    """Ask for steps 1 to 7 from the oldest day that still holds an open trade to ``day``.

    Parameters
    ----------
    name : str
        Of the schedule; with the day it is the run's key, so each runs once a day.
    day : date
        Market day.
    oldest : date or None
        None if no trade is open.

    Returns
    -------
    RunRequest
        Over a range; its tag makes steps 8 and 9 follow.
    """
    first = min(oldest, day) if oldest else day
    return RunRequest(
        run_key=f"{name}:{day}",
        tags={RANGE_START: first.isoformat(), RANGE_END: day.isoformat(), CHAIN: day.isoformat()},
    )


def oldest_alive(calendar: MarketCalendar, day: date, settings: Settings) -> date:
    """Name the oldest market day whose trades may still be open on ``day``.

    Parameters
    ----------
    calendar : MarketCalendar
    day : date
        Market day.
    settings : Settings
        How long an entry stays valid and a trade may live.

    Returns
    -------
    date
        A trade of an earlier day that is still open has lost its prices (the store ended, a share was
        delisted): no daily run can end it, and going back for it would let the runs grow with every day.
    """
    longest = max(
        settings.validity_swing_days + settings.time_out_swing_days,
        settings.validity_positional_days + settings.time_out_positional_days,
    )
    # The day itself, and one more for an idea that came after the close.
    return calendar.market_days(calendar.first_day, day)[-(longest + 2) :][0]


def _daily(name: str, cron: str, what: str, *, previous: bool) -> ScheduleDefinition:
    @schedule(
        name=name,
        cron_schedule=cron,
        execution_timezone=TIMEZONE,
        job=SIGNALS_TO_EXCURSIONS,
        default_status=DefaultScheduleStatus.RUNNING,
        description=f"{what} Skips days on which the market is closed.",
    )
    def fire(
        context: ScheduleEvaluationContext,
        database: ResourceParam[Database],
        market: ResourceParam[Market],
        settings: ResourceParam[Settings],
    ) -> RunRequest | SkipReason:
        day = market_day_of(market.calendar, context.scheduled_execution_time, previous=previous)
        if day is None:
            return SkipReason("The market is closed on this day.")
        if not MARKET_DAYS.has_partition_key(day.isoformat()):
            return SkipReason(f"{day} lies before the first day of the settings.")
        alive = max(MARKET_DAYS.start.date(), oldest_alive(market.calendar, day, settings))
        with database.transaction() as connection:
            return daily_request(name, day, oldest_open_day(connection, alive))

    return fire


AFTER_CLOSE: Final = _daily(
    "after_close", "0 16 * * *", "Ingests and computes the day after the close.", previous=False
)
TRUE_UP: Final = _daily(
    "true_up", "30 19 * * *", "Takes official closes, bhavcopies and late calls of the day.", previous=False
)
CATCH_UP: Final = _daily(
    "catch_up", "30 8 * * *", "Catches up the previous market day before pre-market.", previous=True
)


@schedule(
    cron_schedule="45 8 * * *",
    execution_timezone=TIMEZONE,
    job=PREMARKET,
    default_status=DefaultScheduleStatus.RUNNING,
    description="The five pre-market steps at 08:45 IST. Skips days on which the market is closed.",
)
def before_open(context: ScheduleEvaluationContext, market: ResourceParam[Market]) -> RunRequest | SkipReason:
    """Start pre-market on market days."""
    day = market_day_of(market.calendar, context.scheduled_execution_time, previous=False)
    if day is None:
        return SkipReason("The market is closed on this day.")
    return RunRequest(run_key=f"premarket:{day}")


@schedule(
    cron_schedule="0 3 * * *",
    execution_timezone=TIMEZONE,
    job=retention,
    default_status=DefaultScheduleStatus.RUNNING,
    description="Forgets the logs of old runs every night.",
)
def nightly_retention(context: ScheduleEvaluationContext) -> RunRequest:
    """Start the retention job every night."""
    return RunRequest(run_key=f"retention:{context.scheduled_execution_time.date()}")


@schedule(
    cron_schedule="0 8 * * *",
    execution_timezone=TIMEZONE,
    job=recordings,
    default_status=DefaultScheduleStatus.RUNNING,
    description="Takes in what the daemons recorded on past days, before the previous one is caught up.",
)
def morning_recordings(context: ScheduleEvaluationContext) -> RunRequest:
    """Start the import of recordings every morning."""
    return RunRequest(run_key=f"recordings:{context.scheduled_execution_time.date()}")


SCHEDULES: Final = [AFTER_CLOSE, TRUE_UP, CATCH_UP, before_open, morning_recordings, nightly_retention]
