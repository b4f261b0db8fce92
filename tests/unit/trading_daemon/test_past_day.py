from datetime import date

import pytest

from adapters.calendar import load_calendar
from propdesk.engine.codec import encode_carry_over
from propdesk.engine.state import CarryOver
from propdesk.engine.step import carry_over
from tests.support.engine_day import Day, flat_bar, make_context, make_signal
from tests.support.engine_day import at as moment
from trading_daemon.past_day import owed_day, session_of

TUESDAY, WEDNESDAY, FRIDAY, MONDAY = (date(2025, 7, n) for n in (1, 2, 4, 7))


class Days:
    def __init__(self, traded: date | None, carried: tuple[date, CarryOver] | None) -> None:
        self.traded = traded
        self.handed = carried

    async def last_day(self, before: date) -> date | None:
        return self.traded

    async def carried(self, before: date) -> tuple[date, bytes] | None:
        return None if self.handed is None else (self.handed[0], encode_carry_over(self.handed[1]))


def tracked() -> CarryOver:
    """What a day hands over that follows one idea."""
    day = Day(make_context()).open()
    day.feed(flat_bar(599, 10_000), moment(600))
    day.signal(make_signal())
    return carry_over(day.state)


@pytest.mark.parametrize(
    ("days", "trade_date", "expected"),
    [
        (Days(None, None), WEDNESDAY, None),
        (Days(TUESDAY, None), WEDNESDAY, TUESDAY),
        (Days(TUESDAY, None), MONDAY, TUESDAY),
        (Days(TUESDAY, (date(2025, 6, 30), CarryOver())), WEDNESDAY, TUESDAY),
        (Days(TUESDAY, (TUESDAY, tracked())), WEDNESDAY, None),
        (Days(TUESDAY, (TUESDAY, CarryOver())), FRIDAY, None),
        (Days(TUESDAY, (TUESDAY, tracked())), FRIDAY, WEDNESDAY),
        (Days(FRIDAY, (FRIDAY, tracked())), MONDAY, None),
    ],
    ids=["new", "died", "died-days-ago", "died-again", "done", "idle", "carried", "weekend"],
)
async def test_the_oldest_day_without_an_end_comes_first(
    days: Days, trade_date: date, expected: date | None
) -> None:
    calendar = load_calendar()
    assert await owed_day(days, trade_date, calendar, session_of(calendar, trade_date)[0]) == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (Days(TUESDAY, None), TUESDAY),
        (Days(TUESDAY, (TUESDAY, tracked())), None),
        (Days(date(2025, 6, 30), (date(2025, 6, 30), tracked())), TUESDAY),
        (Days(date(2025, 6, 30), (date(2025, 6, 30), CarryOver())), None),
    ],
    ids=["died", "done", "carried", "idle"],
)
async def test_a_day_without_an_end_is_past_from_its_last_close_on(days: Days, expected: date | None) -> None:
    calendar = load_calendar()
    close_ns = session_of(calendar, TUESDAY)[1]
    assert await owed_day(days, TUESDAY, calendar, close_ns) == expected
    before = None if days.traded == TUESDAY else await owed_day(days, TUESDAY, calendar, close_ns - 1)
    assert before is None
