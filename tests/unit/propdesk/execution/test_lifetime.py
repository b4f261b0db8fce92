from datetime import date

from propdesk.core.calendar import Segment
from propdesk.execution.lifetime import Lifetime, lifetime
from propdesk.model.enums import Category, ExitReason, Period
from tests.support.market import at, small_calendar

WEDNESDAY = date(2025, 1, 8)


def life(
    category: Category,
    period: Period,
    expiry: date | None = None,
    clock: str = "10:00",
    day: date = WEDNESDAY,
) -> Lifetime:
    return lifetime(
        small_calendar(),
        Segment.DERIVATIVES if category.is_derivative else Segment.CASH,
        day,
        at(day, clock),
        category=category,
        period=period,
        expiry=expiry,
    )


def test_intraday_ends_at_the_square_off_of_its_day() -> None:
    found = life(Category.NSE_EQ, Period.INTRADAY)
    assert found.active_from_ns == at(WEDNESDAY, "10:00")
    assert found.valid_until_ns == found.exit_at_ns == at(WEDNESDAY, "15:10")
    assert found.exit_at_reason is ExitReason.SQUARE_OFF


def test_before_the_open_it_waits_for_the_open() -> None:
    assert life(Category.NSE_EQ, Period.INTRADAY, clock="08:00").active_from_ns == at(WEDNESDAY, "09:15")


def test_swing_waits_five_market_days_and_lasts_ten() -> None:
    found = life(Category.NSE_EQ, Period.SWING)
    assert found.valid_until_ns == at(date(2025, 1, 14), "15:30")
    assert found.exit_at_ns == at(date(2025, 1, 22), "15:10")
    assert found.exit_at_reason is ExitReason.TIME_OUT


def test_positional_waits_fifteen_market_days_and_lasts_forty() -> None:
    found = life(Category.NSE_EQ, Period.POSITIONAL)
    assert found.valid_until_ns == at(date(2025, 1, 28), "15:30")
    assert found.exit_at_ns == at(date(2025, 3, 5), "15:10")


def test_index_derivatives_settle_at_the_close_of_their_expiry() -> None:
    found = life(Category.INDEX_OPT, Period.SWING, date(2025, 1, 9))
    assert found.exit_at_ns == found.valid_until_ns == at(date(2025, 1, 9), "15:30")
    assert found.exit_at_reason is ExitReason.EXPIRY
    assert life(Category.INDEX_OPT, Period.INTRADAY, WEDNESDAY).exit_at_reason is ExitReason.SQUARE_OFF


def test_expiry_on_a_day_without_market_settles_the_day_before() -> None:
    saturday = date(2025, 1, 11)
    found = life(Category.INDEX_FUT, Period.SWING, saturday)
    assert found.exit_at_ns == at(date(2025, 1, 10), "15:30")


def test_stock_derivatives_are_flat_the_afternoon_before_and_take_no_late_entry() -> None:
    thursday = date(2025, 1, 30)
    found = life(Category.STOCK_FUT, Period.SWING, thursday, day=date(2025, 1, 24))
    assert found.exit_at_ns == at(date(2025, 1, 29), "15:00")
    assert found.exit_at_reason is ExitReason.PRE_EXPIRY
    assert found.valid_until_ns == at(date(2025, 1, 28), "09:15")
    assert not found.expiry_too_near
    assert life(Category.STOCK_OPT, Period.INTRADAY, thursday, day=date(2025, 1, 28)).expiry_too_near
    assert not life(Category.STOCK_OPT, Period.INTRADAY, thursday, day=date(2025, 1, 27)).expiry_too_near


def test_beyond_the_calendar_the_latest_moment_is_not_known_yet() -> None:
    found = life(Category.NSE_EQ, Period.POSITIONAL, day=date(2025, 4, 29))
    assert found.exit_at_ns is None
    assert found.exit_at_reason is None
    assert found.valid_until_ns == at(date(2025, 4, 30), "15:30")
