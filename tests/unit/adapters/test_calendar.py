"""The built calendar against dated facts of the exchange: one test per special day of 2024 to 2026."""

import csv
import gzip
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from adapters.calendar import CALENDAR_FILE, load_calendar
from propdesk.core.calendar import MarketCalendar, Segment, ist_text, ist_to_ns, weekday_of
from propdesk.core.errors import ConfigFault
from propdesk.core.vocabulary import Session

SHARED = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.exists(), reason="the shared data folder is not beside this clone")
REGULAR = [("09:15", "15:30")]


@pytest.fixture(scope="module")
def calendar() -> MarketCalendar:
    return load_calendar()


def clock(ns: int) -> str:
    return ist_text(ns)[11:16]


def at(day: date, time: str) -> int:
    return ist_to_ns(datetime.fromisoformat(f"{day} {time}"))


def parts(calendar: MarketCalendar, day: date, segment: Segment) -> list[tuple[str, str]]:
    return [(clock(a), clock(b)) for a, b in calendar.hours(day, segment).parts]


def check_session(
    calendar: MarketCalendar, day: date, expected: list[tuple[str, str]], square_off: str
) -> None:
    """One special day: a market day whose every segment keeps exactly these hours."""
    assert calendar.is_market_day(day)
    for segment in Segment:
        hours = calendar.hours(day, segment)
        assert parts(calendar, day, segment) == expected, segment
        assert (clock(hours.open_ns), clock(hours.close_ns)) == (expected[0][0], expected[-1][1])
        assert clock(hours.square_off_ns) == square_off


# ------------------------------------------------------------------------------ special sessions 2024-2026


def test_saturday_2024_01_20_was_a_full_day_in_place_of_monday_the_22nd(calendar: MarketCalendar) -> None:
    day = date(2024, 1, 20)
    check_session(calendar, day, REGULAR, "15:10")
    assert weekday_of(day) is None
    assert not calendar.is_market_day(date(2024, 1, 22))
    assert calendar.next_day(day) == date(2024, 1, 23)


def test_saturday_2024_03_02_was_a_drill_of_two_short_sessions(calendar: MarketCalendar) -> None:
    day = date(2024, 3, 2)
    check_session(calendar, day, [("09:15", "10:00"), ("11:30", "12:30")], "12:15")
    hours = calendar.hours(day, Segment.CASH)
    moments = {"09:15": True, "09:59": True, "10:00": False, "11:29": False, "11:30": True, "12:30": False}
    assert {time: hours.is_open(at(day, time)) for time in moments} == moments
    # What comes in during the break can still act on that day.
    assert calendar.trade_date(at(day, "10:30"), Segment.CASH) == day


def test_saturday_2024_05_18_was_a_drill_of_two_short_sessions(calendar: MarketCalendar) -> None:
    check_session(calendar, date(2024, 5, 18), [("09:15", "10:00"), ("11:45", "12:40")], "12:25")
    assert not calendar.is_market_day(date(2024, 5, 20))


def test_friday_2024_11_01_was_muhurat_in_the_evening(calendar: MarketCalendar) -> None:
    day = date(2024, 11, 1)
    check_session(calendar, day, [("18:00", "19:00")], "18:45")
    assert calendar.trade_date(at(day, "12:00"), Segment.CASH) == day
    assert calendar.session(at(day, "12:00"), Segment.CASH) is Session.AFTER_HOURS
    assert calendar.session(at(day, "18:30"), Segment.CASH) is Session.AFTERNOON


def test_saturday_2025_02_01_was_budget_day(calendar: MarketCalendar) -> None:
    check_session(calendar, date(2025, 2, 1), REGULAR, "15:10")
    assert weekday_of(date(2025, 2, 1)) is None


def test_tuesday_2025_10_21_was_muhurat_in_the_afternoon(calendar: MarketCalendar) -> None:
    check_session(calendar, date(2025, 10, 21), [("13:45", "14:45")], "14:30")
    assert not calendar.is_market_day(date(2025, 10, 22))


def test_sunday_2026_02_01_was_budget_day(calendar: MarketCalendar) -> None:
    check_session(calendar, date(2026, 2, 1), REGULAR, "15:10")
    assert calendar.market_days(date(2026, 1, 31), date(2026, 2, 2)) == [date(2026, 2, 1), date(2026, 2, 2)]


def test_sunday_2026_11_08_waits_for_its_muhurat_hours(calendar: MarketCalendar, tmp_path: Path) -> None:
    """The day is announced, its hours are not known here: nothing trades at guessed hours."""
    day = date(2026, 11, 8)
    assert not calendar.is_market_day(day)
    data = yaml.safe_load(CALENDAR_FILE.read_text(encoding="utf-8"))
    assert [row["date"] for row in data["awaiting_hours"]] == [day]
    data["special_sessions"].append({"date": day, "hours": ["13:45-14:45"], "name": "Muhurat"})
    data["awaiting_hours"] = []
    (tmp_path / "calendar.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    check_session(load_calendar(tmp_path / "calendar.yaml"), day, [("13:45", "14:45")], "14:30")


def test_no_other_weekend_trades_and_every_special_day_is_named(calendar: MarketCalendar) -> None:
    days = calendar.market_days(date(2024, 1, 1), date(2026, 12, 31))
    weekend = [day for day in days if day.weekday() >= 5]
    assert weekend == [
        date(2024, 1, 20), date(2024, 3, 2), date(2024, 5, 18), date(2025, 2, 1), date(2026, 2, 1),
    ]  # fmt: skip
    special = {day: session.name for day in days if (session := calendar.special_session(day)) is not None}
    assert set(special) == {*weekend, date(2024, 11, 1), date(2025, 10, 21)}
    assert all(special.values())


# --------------------------------------------------------------------------------------- sudden holidays


def test_monday_2024_01_22_closed_at_two_days_notice(calendar: MarketCalendar) -> None:
    assert not calendar.is_market_day(date(2024, 1, 22))


def test_monday_2024_05_20_closed_for_the_general_election_in_mumbai(calendar: MarketCalendar) -> None:
    assert not calendar.is_market_day(date(2024, 5, 20))


def test_wednesday_2024_11_20_closed_for_the_state_election(calendar: MarketCalendar) -> None:
    assert not calendar.is_market_day(date(2024, 11, 20))


def test_thursday_2026_01_15_closed_for_the_municipal_election(calendar: MarketCalendar) -> None:
    assert not calendar.is_market_day(date(2026, 1, 15))


def test_a_holiday_announced_tomorrow_needs_one_line(tmp_path: Path) -> None:
    day = date(2026, 12, 16)
    assert load_calendar().is_market_day(day)
    data = yaml.safe_load(CALENDAR_FILE.read_text(encoding="utf-8"))
    data["holidays"] = [day]
    (tmp_path / "calendar.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    changed = load_calendar(tmp_path / "calendar.yaml")
    assert not changed.is_market_day(day)
    assert changed.next_day(date(2026, 12, 15)) == date(2026, 12, 17)


# ----------------------------------------------------------------------- the change of 3 August 2026


def test_friday_2026_07_31_was_the_last_day_of_the_old_hours(calendar: MarketCalendar) -> None:
    day = date(2026, 7, 31)
    check_session(calendar, day, REGULAR, "15:10")
    assert [calendar.closing_auction(day, segment) for segment in Segment] == [None, None, None]


def test_monday_2026_08_03_derivatives_trade_to_1540(calendar: MarketCalendar) -> None:
    hours = calendar.hours(date(2026, 8, 3), Segment.DERIVATIVES)
    assert (clock(hours.open_ns), clock(hours.close_ns), clock(hours.square_off_ns)) == (
        "09:15",
        "15:40",
        "15:10",
    )
    assert (hours.close_ns - hours.open_ns) // 60_000_000_000 == 385


def test_monday_2026_08_03_stocks_with_derivatives_stop_at_1515_for_the_auction(
    calendar: MarketCalendar,
) -> None:
    day = date(2026, 8, 3)
    hours = calendar.hours(day, Segment.CASH_FNO)
    assert (clock(hours.close_ns), clock(hours.square_off_ns)) == ("15:15", "15:00")
    auction = calendar.closing_auction(day, Segment.CASH_FNO)
    assert auction is not None
    assert [clock(ns) for ns in auction] == ["15:15", "15:35"]
    assert auction[0] == hours.close_ns


def test_monday_2026_08_03_other_stocks_keep_1530_and_have_no_auction(calendar: MarketCalendar) -> None:
    day = date(2026, 8, 3)
    assert parts(calendar, day, Segment.CASH) == REGULAR
    assert calendar.closing_auction(day, Segment.CASH) is None
    assert calendar.closing_auction(day, Segment.DERIVATIVES) is None


# ------------------------------------------------------------------------------- against published lists


@needs_data
def test_the_holidays_of_2025_are_those_the_exchange_published(calendar: MarketCalendar) -> None:
    with (SHARED / "nse_holidays_2025" / "holidays.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["segment"] in ("CM", "FO")]
    published = {datetime.strptime(row["tradingDate"], "%d-%b-%Y").date() for row in rows}  # noqa: DTZ007 -- a date
    muhurat = date(2025, 10, 21)
    year = [date(2025, 1, 1) + timedelta(days=i) for i in range(365)]
    closed = {day for day in year if day.weekday() < 5 and not calendar.is_market_day(day)}
    assert len(published) == 18
    # The list names Diwali as a holiday and announces the Muhurat session apart.
    assert closed | {muhurat} == {day for day in published if day.weekday() < 5}
    assert not any(calendar.is_market_day(day) for day in published - {muhurat})


@needs_data
def test_market_days_of_2019_to_2026_are_those_with_published_prices(calendar: MarketCalendar) -> None:
    """1,710 days of bhavcopies: none of them is unknown to the calendar; what they lack is named."""
    table = pq.read_table(SHARED / "nse_equity_daily" / "daily_180.parquet", columns=["Date"])
    seen = {date.fromisoformat(str(text)[:10]) for text in set(table["Date"].to_pylist())}
    known = set(calendar.market_days(min(seen), max(seen)))
    assert len(seen) == 1_710
    assert seen - known == set()
    lacking = known - seen
    # The set has one documented hole of 24 market days, and two single days it lacks:
    hole = set(calendar.market_days(date(2019, 8, 26), date(2019, 9, 30)))
    assert len(hole) == 24
    # the Muhurat evening of 2021 (the market traded: it is in the exchange's circular), and a Monday before
    # Muharram on which the market traded as usual (the index has a price that day).
    assert lacking == hole | {date(2021, 11, 4), date(2022, 8, 8)}


@needs_data
def test_the_index_traded_on_the_days_the_stock_prices_lack(calendar: MarketCalendar) -> None:
    """A second, independent set: every day the NIFTY has a price on is a market day."""
    with gzip.open(SHARED / "nifty_indiavix_daily" / "daily.csv.gz", "rt", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    traded = {date.fromisoformat(row["Date"][:10]) for row in rows if row["symbol"] == "NIFTY50"}
    assert len(traded) == 1_478
    assert date(2022, 8, 8) in traded
    assert {day for day in traded if not calendar.is_market_day(day)} == set()


# ------------------------------------------------------------------------------------- a broken table


@pytest.mark.parametrize(
    "text",
    [
        "hours: 3",
        "[1, 2]",
        "hours: [{segment: MOON, since: 2000-01-01, open: '09:15', close: '15:30', square_off: '15:10'}]",
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    broken = tmp_path / "calendar.yaml"
    broken.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigFault, match=r"calendar\.yaml"):
        load_calendar(broken)


@pytest.mark.parametrize("hours", [["9:15"], ["09:15-x"], "09:15-10:00"])
def test_unreadable_hours_of_a_session_are_refused(tmp_path: Path, hours: object) -> None:
    data = yaml.safe_load(CALENDAR_FILE.read_text(encoding="utf-8"))
    data["special_sessions"][0]["hours"] = hours
    (tmp_path / "calendar.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(ConfigFault, match="not a usable market calendar"):
        load_calendar(tmp_path / "calendar.yaml")


def test_a_day_is_not_special_and_closed_at_once(tmp_path: Path) -> None:
    data = yaml.safe_load(CALENDAR_FILE.read_text(encoding="utf-8"))
    data["holidays"] = [data["special_sessions"][0]["date"]]
    (tmp_path / "calendar.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(ConfigFault, match="closed at once"):
        load_calendar(tmp_path / "calendar.yaml")
