from collections.abc import Sequence
from datetime import date

import numpy as np
import pytest

from adapters.calendar import load_calendar
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.errors import GapFault
from propdesk.engine.codec import encode_carry_over
from propdesk.engine.state import CarryOver
from propdesk.engine.step import carry_over
from propdesk.ports import BarArrays
from tests.support.engine_day import CLOSE_MINUTE, DAY, Day, flat_bar, make_context, make_signal
from tests.support.engine_day import at as moment
from trading_daemon.feeds import PastFeed
from trading_daemon.past_day import owed_day, require_prices, session_of

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


class Prices:
    """A store that holds the bars of ALPHA that start at these minutes."""

    def __init__(self, minutes: Sequence[int]) -> None:
        self.minutes = minutes

    def minute_bars(self, price_keys: Sequence[str], first: date, last: date) -> dict[str, BarArrays]:
        starts = np.array([moment(minute) for minute in self.minutes], dtype=np.int64)
        if "NSE_EQ:ALPHA" not in price_keys or not len(starts):
            return {}
        price = np.full(len(starts), 10_000, dtype=np.int64)
        return {"NSE_EQ:ALPHA": BarArrays(starts, price, price, price, price, price, NS_PER_MINUTE)}


def open_day() -> Day:
    """A group waits or is open in ALPHA."""
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal())
    return day


@pytest.mark.parametrize(
    ("stored", "done", "is_refused"),
    [
        ([], 600, True),
        ([], CLOSE_MINUTE - 5, True),
        (range(555, 600), 600, True),
        (range(555, 601), 600, True),
        (range(555, CLOSE_MINUTE - 61), 600, True),
        (range(555, CLOSE_MINUTE - 60), 600, False),
        (range(555, CLOSE_MINUTE - 61), CLOSE_MINUTE - 61, True),
        (range(555, CLOSE_MINUTE - 60), CLOSE_MINUTE - 60, False),
        ([], CLOSE_MINUTE, False),
    ],
    ids=[
        "none",
        "none-at-all",
        "ends-with-us",
        "one-more",
        "ends-early",
        "goes-on",
        "over-an-hour",
        "within-an-hour",
        "all-met",
    ],
)
def test_a_day_without_the_prices_of_what_is_open_is_not_closed_silently(
    stored: Sequence[int], done: int, is_refused: bool
) -> None:
    feed = PastFeed(Prices(stored), DAY, moment(done))  # type: ignore[arg-type]
    state = open_day().state
    if not is_refused:
        require_prices(feed, state, moment(done), moment(CLOSE_MINUTE))
        return
    with pytest.raises(GapFault) as refused:
        require_prices(feed, state, moment(done), moment(CLOSE_MINUTE))
    text = str(refused.value)
    for word in (DAY.isoformat(), "NSE_EQ:ALPHA", "prices download", "prices import", "UNPRICED_DAYS"):
        assert word in text


def test_a_day_on_which_nothing_is_open_needs_no_prices() -> None:
    feed = PastFeed(Prices([]), DAY, moment(600))  # type: ignore[arg-type]
    state = Day(make_context()).open().state
    require_prices(feed, state, moment(600), moment(CLOSE_MINUTE))
