"""What a recording does to outcomes and sizes: of a part of a day nothing, of a whole session what it saw."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adapters.calendar import load_calendar
from adapters.config_files import load_charges, load_margins, load_slippage
from adapters.ticks.recorded_import import import_recording
from adapters.ticks.recordings import Recorder, recording_path, recordings_folder
from adapters.ticks.store import Kind, ParquetPriceStore, bars_table
from propdesk.core.calendar import Segment, ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND
from propdesk.intake.minutes import MinuteBook, PriceSeen
from propdesk.pipeline.trades import TradeConfig, build_trades
from propdesk.ports import BarArrays
from propdesk.risk.liquidity import average_traded_value
from tests.support.market import at, followup_frame, signal_frame, signal_row, small_calendar

DAY, NEXT, THIRD = date(2025, 1, 8), date(2025, 1, 9), date(2025, 1, 10)
KEY, OTHER = "NSE_EQ:ACME", "NSE_EQ:OTHER"
CALENDAR = load_calendar()
CONFIG = TradeConfig(load_charges(), load_margins(), load_slippage())


@pytest.fixture
def store(tmp_path: Path) -> ParquetPriceStore:
    return ParquetPriceStore(str(tmp_path / "prices"), CALENDAR)


def write(store: ParquetPriceStore, kind: Kind, day: date, bars: dict[str, BarArrays]) -> None:
    with store.stage() as stage:
        stage.add(kind, day, bars_table(bars.items()))


def whole(day: date, price: int = 10_000) -> BarArrays:
    """A bar of one price in every minute of the session."""
    hours = CALENDAR.hours(day, Segment.CASH)
    start_ns = np.arange(hours.open_ns, hours.close_ns, NS_PER_MINUTE)
    return BarArrays(start_ns, *(np.full(len(start_ns), price) for _ in range(5)), interval_ns=NS_PER_MINUTE)


def daily(day: date, *prices: int) -> BarArrays:
    return BarArrays(
        np.array([ist_midnight_ns(day)]),
        *(np.array([one]) for one in (*prices, 5_000)),
        interval_ns=NS_PER_DAY,
    )


def watch(home: Path, day: date, first: str, last: str, prices: dict[str, int]) -> Path:
    """Record one trade of 100 units every ten seconds of [first, last), at a price from each moment on."""
    hours = CALENDAR.hours(day, Segment.CASH)
    book = MinuteBook(lambda _key: hours.parts)
    for place, ns in enumerate(range(at(day, first), at(day, last), 10 * NS_PER_SECOND)):
        price = [one for since, one in prices.items() if at(day, since) <= ns][-1]
        traded_ns = ns if ns >= hours.open_ns else None
        book.add(PriceSeen(KEY, ns, traded_ns, price, 100 * place, price - 5, price + 5))
    recorder = Recorder(recordings_folder(home, "A"), day, "A", "dhan")
    recorder.open()
    recorder.append(book.take_unwritten(), book.watch)
    recorder.close()
    return recording_path(recordings_folder(home, "A"), day)


def outcome(store: ParquetPriceStore, known_ns: int, period: str = "INTRADAY") -> str:
    """Why an idea of the first day, 9:10, ended: entry at 100.00, stop 98.00, target 104.00."""
    row = signal_row("s", DAY, "09:10", period=period)
    trades = build_trades(
        signal_frame([row]), followup_frame([]), store, small_calendar(), CONFIG, known_ns
    ).trades
    return str(trades["exit_reason"].iloc[0])


def test_a_part_of_a_day_does_not_hide_the_daily_bar(store: ParquetPriceStore, tmp_path: Path) -> None:
    write(store, "minute", DAY, {KEY: whole(DAY), OTHER: whole(DAY)})
    write(store, "minute", NEXT, {OTHER: whole(NEXT)})
    write(store, "daily", NEXT, {KEY: daily(NEXT, 10_000, 10_100, 9_600, 9_650)})
    write(store, "minute", THIRD, {KEY: whole(THIRD, 10_450)})
    assert outcome(store, at(THIRD, "23:00"), "SWING") == "STOPLOSS"
    path = watch(tmp_path, NEXT, "09:14", "09:45", {"09:00": 10_020})
    assert import_recording(store, path, CALENDAR, THIRD).notes["PART_OF_SESSION"] == 30
    assert outcome(store, at(THIRD, "23:00"), "SWING") == "STOPLOSS"


def test_a_recording_that_ends_early_settles_nothing(store: ParquetPriceStore, tmp_path: Path) -> None:
    write(store, "minute", DAY, {OTHER: whole(DAY)})
    before = outcome(store, at(DAY, "23:00"))
    path = watch(tmp_path, DAY, "09:14", "10:00", {"09:00": 10_000})
    import_recording(store, path, CALENDAR, NEXT)
    assert outcome(store, at(DAY, "23:00")) == before == "NO_PRICE_DATA"


def test_a_session_that_was_watched_whole_settles_what_nothing_else_knows(
    store: ParquetPriceStore, tmp_path: Path
) -> None:
    write(store, "minute", DAY, {OTHER: whole(DAY)})
    path = watch(tmp_path, DAY, "09:14", "15:30", {"09:00": 10_000, "12:00": 10_450})
    assert import_recording(store, path, CALENDAR, NEXT).notes == {"PART_OF_MINUTE": 1}
    assert outcome(store, at(DAY, "23:00")) == "TARGET"


@pytest.mark.parametrize("first", ["09:14", "15:00"])
def test_the_traded_value_of_a_part_of_a_day_caps_nothing(
    store: ParquetPriceStore, tmp_path: Path, first: str
) -> None:
    import_recording(store, watch(tmp_path, DAY, first, "15:30", {"09:00": 10_000}), CALENDAR, NEXT)
    hours = CALENDAR.hours(DAY, Segment.CASH)
    value = average_traded_value(store.minute_bars([KEY], DAY, DAY).get(KEY), hours.open_ns, hours.close_ns)
    # all but the first minute, of whose volume nobody knows how much the opening auction traded
    traded = 100 * ((hours.close_ns - hours.open_ns) // (10 * NS_PER_SECOND) - 6)
    assert value == (10_000 * traded // 75 if first == "09:14" else None)


@pytest.mark.parametrize("is_daily_first", [True, False])
@pytest.mark.parametrize(
    ("prices", "is_taken"),
    [((10_000, 10_100, 9_600, 9_650), False), ((10_000, 10_450, 9_990, 10_450), True),
     ((10_000, 10_451, 9_990, 10_450), False), ((10_000, 10_450, 9_989, 10_450), False)],
)  # fmt: skip
def test_a_daily_bar_beyond_what_was_watched_counts_before_it(
    store: ParquetPriceStore, tmp_path: Path, prices: tuple[int, ...], *, is_taken: bool, is_daily_first: bool
) -> None:
    write(store, "minute", NEXT, {OTHER: whole(NEXT)})
    path = watch(tmp_path, NEXT, "09:14", "15:30", {"09:00": 9_990, "12:00": 10_450})
    if is_daily_first:
        write(store, "daily", NEXT, {KEY: daily(NEXT, *prices)})
    notes = import_recording(store, path, CALENDAR, THIRD).notes
    assert ("PART_OF_SESSION" in notes) is (is_daily_first and not is_taken)
    if not is_daily_first:
        assert KEY in store.minute_bars([KEY], NEXT, NEXT)
        write(store, "daily", NEXT, {KEY: daily(NEXT, *prices)})
    assert (KEY in store.minute_bars([KEY], NEXT, NEXT)) is is_taken


def test_a_stop_in_a_daily_bar_is_not_hidden_by_a_session_that_missed_it(
    store: ParquetPriceStore, tmp_path: Path
) -> None:
    write(store, "minute", DAY, {KEY: whole(DAY), OTHER: whole(DAY)})
    write(store, "minute", NEXT, {OTHER: whole(NEXT)})
    write(store, "daily", NEXT, {KEY: daily(NEXT, 10_000, 10_100, 9_600, 9_650)})
    write(store, "minute", THIRD, {KEY: whole(THIRD, 10_450)})
    import_recording(store, watch(tmp_path, NEXT, "09:14", "15:30", {"09:00": 10_020}), CALENDAR, THIRD)
    assert outcome(store, at(THIRD, "23:00"), "SWING") == "STOPLOSS"


INDEX = "INDEX:NIFTY"
SECOND = NS_PER_SECOND


def record(home: Path, told: list[PriceSeen]) -> Path:
    """Record quotes, put into the order in which they were heard."""
    hours = CALENDAR.hours(DAY, Segment.CASH)
    book = MinuteBook(lambda _key: hours.parts)
    for one in sorted(told, key=lambda one: one.seen_ns):
        book.add(one)
    recorder = Recorder(recordings_folder(home, "A"), DAY, "A", "dhan")
    recorder.open()
    recorder.append(book.take_unwritten(), book.watch)
    recorder.close()
    return recording_path(recordings_folder(home, "A"), DAY)


def session() -> range:
    """Every five seconds from a minute before the open to the close, ns UTC."""
    hours = CALENDAR.hours(DAY, Segment.CASH)
    return range(hours.open_ns - NS_PER_MINUTE, hours.close_ns, 5 * SECOND)


def pulse() -> list[PriceSeen]:
    """An index that is heard all the time."""
    open_ns = CALENDAR.hours(DAY, Segment.CASH).open_ns
    return [PriceSeen(INDEX, ns, ns if ns >= open_ns else None, 2_400_000) for ns in session()]


def rising(ns: int) -> int:
    """A price that reaches the target at 13:00."""
    return 10_000 if ns < at(DAY, "13:00") else 10_450


def test_a_series_that_was_silent_for_an_hour_settles_nothing_although_an_index_was_heard(
    store: ParquetPriceStore, tmp_path: Path
) -> None:
    write(store, "minute", DAY, {OTHER: whole(DAY)})
    open_ns = CALENDAR.hours(DAY, Segment.CASH).open_ns
    told = [
        PriceSeen(KEY, ns, ns if ns >= open_ns else None, rising(ns), 100, 9_995, 10_005)
        for ns in session()
        if not at(DAY, "11:00") <= ns < at(DAY, "12:00")
    ]
    import_recording(store, record(tmp_path, [*pulse(), *told]), CALENDAR, NEXT)
    assert store.symbols("recorded", DAY) == [INDEX]
    assert outcome(store, at(DAY, "23:00")) == "NO_PRICE_DATA"


def test_trades_that_come_too_late_for_a_bar_settle_nothing(store: ParquetPriceStore, tmp_path: Path) -> None:
    write(store, "minute", DAY, {OTHER: whole(DAY)})
    open_ns = CALENDAR.hours(DAY, Segment.CASH).open_ns
    told = []
    for ns in session():
        is_late = at(DAY, "11:00") <= ns < at(DAY, "11:20")
        traded_ns = ns - 130 * SECOND if is_late else ns
        price = 9_600 if at(DAY, "11:02") <= traded_ns < at(DAY, "11:10") else rising(traded_ns)
        told.append(PriceSeen(KEY, ns, traded_ns if traded_ns >= open_ns else None, price))
    import_recording(store, record(tmp_path, [*pulse(), *told]), CALENDAR, NEXT)
    assert store.symbols("recorded", DAY) == [INDEX]
    assert outcome(store, at(DAY, "23:00")) == "NO_PRICE_DATA"


def test_an_idea_is_not_filled_by_a_trade_of_before_it_came_that_was_told_late(
    store: ParquetPriceStore, tmp_path: Path
) -> None:
    write(store, "minute", DAY, {OTHER: whole(DAY)})
    open_ns, dip_ns = CALENDAR.hours(DAY, Segment.CASH).open_ns, at(DAY, "10:00") + 50 * SECOND
    told = [
        PriceSeen(
            KEY,
            ns + (12 * SECOND if ns == dip_ns else 0),
            ns if ns >= open_ns else None,
            10_000 if ns == dip_ns else 10_200,
        )
        for ns in session()
        if not dip_ns < ns < dip_ns + 12 * SECOND
    ]
    import_recording(store, record(tmp_path, [*pulse(), *told]), CALENDAR, NEXT)
    bars = store.minute_bars([KEY], DAY, DAY)[KEY]
    low = dict(zip(bars.start_ns.tolist(), bars.low_paise.tolist(), strict=True))
    assert (low[at(DAY, "10:00")], low[at(DAY, "10:01")]) == (10_000, 10_200)
    received = pd.Timestamp(dip_ns + 2 * SECOND, unit="ns", tz="UTC")
    row = signal_row("s", DAY, "10:00", received_at=received)
    trades = build_trades(
        signal_frame([row]), followup_frame([]), store, small_calendar(), CONFIG, at(DAY, "23:00")
    ).trades
    assert trades["exit_reason"].tolist() == ["NOT_TRIGGERED"]
