from datetime import date
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from adapters.ticks.store import Kind, ParquetPriceStore, bars_table
from propdesk.core.calendar import HoursRule, MarketCalendar, Segment, SpecialSession, ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE
from propdesk.core.errors import DataFault, InvariantViolated, SchemaFault
from propdesk.model.corporate_action import CorporateAction
from propdesk.ports import BarArrays

DAY, NEXT = date(2025, 1, 1), date(2025, 1, 2)
OPEN = 9 * 60 + 15
CALENDAR = MarketCalendar(
    [DAY, NEXT], [HoursRule(segment, date(2000, 1, 1), OPEN, 930, 910) for segment in Segment]
)


def bars(day: date, minutes: list[int], close: int = 10_000, volume: int = 5) -> BarArrays:
    n = len(minutes)
    start = ist_midnight_ns(day) + (OPEN + np.array(minutes, np.int64)) * NS_PER_MINUTE
    flat = np.full(n, close, np.int64)
    return BarArrays(start, flat, flat + 10, flat - 10, flat, np.full(n, volume, np.int64), NS_PER_MINUTE)


def ticks(day: date, stamps: list[int], prices: list[int], symbol: str = "NSE_EQ:A") -> pa.Table:
    base = ist_midnight_ns(day) + OPEN * NS_PER_MINUTE
    return pa.table(
        {
            "symbol": [symbol] * len(stamps),
            "ts": pa.array([base + s * 1_000_000_000 for s in stamps], pa.int64()),
            "price": pa.array(prices, pa.int64()),
            "volume": pa.array(range(len(stamps)), pa.int64()),
        }
    )


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ParquetPriceStore:
    url = str(tmp_path) if request.param == "folder" else f"memory://{tmp_path.name}"
    return ParquetPriceStore(url, CALENDAR)


def test_what_is_written_is_read_back_over_days(store: ParquetPriceStore) -> None:
    store.write_minutes(DAY, bars_table([("NSE_EQ:B", bars(DAY, [0, 1])), ("NSE_EQ:A", bars(DAY, [1], 700))]))
    store.write_minutes(NEXT, bars_table([("NSE_EQ:A", bars(NEXT, [0], 800))]))
    found = store.minute_bars(["NSE_EQ:A", "NSE_EQ:B", "NSE_EQ:NONE"], DAY, NEXT)
    assert set(found) == {"NSE_EQ:A", "NSE_EQ:B"}
    assert found["NSE_EQ:A"].close_paise.tolist() == [700, 800]
    assert found["NSE_EQ:A"].start_ns.flags.c_contiguous
    assert found["NSE_EQ:B"].high_paise.tolist() == [10_010, 10_010]
    assert store.minute_bars(["NSE_EQ:A"], NEXT, NEXT)["NSE_EQ:A"].close_paise.tolist() == [800]
    assert store.symbols("minute", DAY) == ["NSE_EQ:A", "NSE_EQ:B"]
    assert store.days("minute") == [DAY, NEXT]
    assert store.minute_bars([], DAY, NEXT) == {}


def test_writing_replaces_the_symbols_it_names_and_keeps_the_others(store: ParquetPriceStore) -> None:
    store.write_minutes(
        DAY, bars_table([("NSE_EQ:A", bars(DAY, [0, 1, 2])), ("NSE_EQ:B", bars(DAY, [0], 500))])
    )
    store.write_minutes(DAY, bars_table([("NSE_EQ:A", bars(DAY, [5], 900))]))
    found = store.minute_bars(["NSE_EQ:A", "NSE_EQ:B"], DAY, DAY)
    assert found["NSE_EQ:A"].close_paise.tolist() == [900]
    assert found["NSE_EQ:B"].close_paise.tolist() == [500]


def test_daily_bars_are_built_from_minutes_where_none_stand(store: ParquetPriceStore) -> None:
    minute = bars(DAY, [0, 1, 2], 1_000)
    minute.close_paise[-1] = 1_005
    minute.volume[:] = [3, -1, 4]
    store.write_minutes(DAY, bars_table([("NSE_EQ:A", minute), ("NSE_EQ:B", bars(DAY, [0], 2_000, -1))]))
    store.write_minutes(NEXT, bars_table([("NSE_EQ:A", bars(NEXT, [0], 1_200))]))
    one = np.array([1_111], np.int64)
    daily = BarArrays(
        np.array([ist_midnight_ns(NEXT)], np.int64), one, one, one, one, np.array([9], np.int64), NS_PER_DAY
    )
    store.write_daily(NEXT, bars_table([("NSE_EQ:A", daily)]))
    found = store.daily_bars(["NSE_EQ:A", "NSE_EQ:B"], DAY, NEXT)
    a = found["NSE_EQ:A"]
    assert a.close_paise.tolist() == [1_005, 1_111]
    assert (a.open_paise[0], a.high_paise[0], a.low_paise[0], a.volume[0]) == (1_000, 1_010, 990, 7)
    assert a.start_ns.tolist() == [ist_midnight_ns(DAY), ist_midnight_ns(NEXT)]
    assert found["NSE_EQ:B"].volume.tolist() == [-1]
    stored = store.daily_bars(["NSE_EQ:A", "NSE_EQ:B"], DAY, NEXT, from_minutes=False)
    assert {key: kept.close_paise.tolist() for key, kept in stored.items()} == {"NSE_EQ:A": [1_111]}


def test_ticks_of_one_second_keep_their_order(store: ParquetPriceStore) -> None:
    store.write_ticks(DAY, ticks(DAY, [5, 5, 1], [103, 102, 101]))
    times, prices = store.ticks(["NSE_EQ:A"], DAY, DAY)["NSE_EQ:A"]
    assert prices.tolist() == [101, 103, 102]
    assert (np.diff(times) >= 0).all()


def test_market_minutes_go_through_the_day_in_order(store: ParquetPriceStore) -> None:
    store.write_minutes(DAY, bars_table([("NSE_EQ:A", bars(DAY, [0, 2])), ("NSE_EQ:B", bars(DAY, [2], 50))]))
    seen = list(store.market_minutes(["NSE_EQ:A", "NSE_EQ:B"], DAY))
    assert [sorted(found) for _, found in seen] == [["NSE_EQ:A"], ["NSE_EQ:A", "NSE_EQ:B"]]
    assert seen[1][1]["NSE_EQ:B"] == (50, 60, 40, 50, 5)
    assert seen[1][0] - seen[0][0] == 2 * NS_PER_MINUTE


def test_a_silence_of_the_whole_feed_is_an_outage_and_of_one_symbol_a_gap(store: ParquetPriceStore) -> None:
    full = [m for m in range(375) if not 100 <= m < 140]
    store.write_minutes(
        DAY, bars_table([("NSE_EQ:A", bars(DAY, full)), ("NSE_EQ:B", bars(DAY, list(range(0, 90, 20))))])
    )
    store.write_minutes(NEXT, bars_table([("NSE_EQ:A", bars(NEXT, list(range(40, 375))))]))
    base, late = (ist_midnight_ns(day) + OPEN * NS_PER_MINUTE for day in (DAY, NEXT))
    assert store.outages(DAY, NEXT) == {
        DAY: [(base + 100 * NS_PER_MINUTE, base + 140 * NS_PER_MINUTE)],
        NEXT: [(late, late + 40 * NS_PER_MINUTE)],
    }
    assert len(store.day_coverage("minute", DAY).gaps["NSE_EQ:B"]) == 4
    assert [c.symbols for c in store.coverage("minute", DAY, NEXT)] == [2, 1]


def test_silence_just_under_thirty_minutes_is_no_outage(store: ParquetPriceStore) -> None:
    store.write_minutes(
        DAY, bars_table([("NSE_EQ:A", bars(DAY, [m for m in range(375) if not 100 <= m < 129]))])
    )
    assert store.outages(DAY, DAY) == {}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda t: t.drop_columns(["close"]), "close"),
        (lambda t: t.set_column(1, "ts", pa.array([NS_PER_DAY] * t.num_rows, pa.int64())), "another IST day"),
        (lambda t: t.set_column(2, "open", pa.array([0] * t.num_rows, pa.int64())), "not positive"),
        (lambda t: t.set_column(3, "high", pa.array([1] * t.num_rows, pa.int64())), "high or low"),
        (lambda t: t.set_column(5, "close", pa.array([None] * t.num_rows, pa.int64())), "empty"),
        (lambda t: t.set_column(5, "close", pa.array(["x"] * t.num_rows)), "wrong type"),
        (lambda t: pa.concat_tables([t, t]), "two bars"),
    ],
)
def test_a_table_that_breaks_the_promise_is_refused(
    store: ParquetPriceStore, change: object, word: str
) -> None:
    table = bars_table([("NSE_EQ:A", bars(DAY, [0, 1]))])
    with pytest.raises(SchemaFault, match=word):
        store.write_minutes(DAY, change(table))  # type: ignore[operator]
    assert store.days("minute") == []


def test_a_failed_stage_publishes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    with pytest.raises(RuntimeError), store.stage() as stage:  # noqa: PT012 - the error must come inside
        stage.add("minute", DAY, bars_table([("NSE_EQ:A", bars(DAY, [0]))]))
        raise RuntimeError("power cut")
    assert store.days("minute") == []
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_one_day_cannot_be_staged_twice(tmp_path: Path) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    table = bars_table([("NSE_EQ:A", bars(DAY, [0]))])
    with pytest.raises(InvariantViolated, match="twice"), store.stage() as stage:  # noqa: PT012 - see above
        stage.add("minute", DAY, table)
        stage.add("minute", DAY, table)


def test_a_broken_file_gives_one_sentence_with_the_remedy(tmp_path: Path) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    store.write_minutes(DAY, bars_table([("NSE_EQ:A", bars(DAY, [0]))]))
    (tmp_path / "minute" / "2025-01-01.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DataFault, match="import the prices of that day again"):
        store.minute_bars(["NSE_EQ:A"], DAY, DAY)


def test_only_row_groups_that_may_hold_a_key_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.ticks.store.ROW_GROUP_ROWS", 4)
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    store.write_minutes(
        DAY, bars_table([(f"NSE_EQ:{n}", bars(DAY, [0, 1, 2], 1_000 + i)) for i, n in enumerate("ABCDE")])
    )
    found = store.minute_bars(["NSE_EQ:B", "NSE_EQ:E"], DAY, DAY)
    assert {k: v.close_paise.tolist() for k, v in found.items()} == {
        "NSE_EQ:B": [1_001] * 3,
        "NSE_EQ:E": [1_004] * 3,
    }


def test_a_full_disk_gives_one_sentence_and_keeps_the_old_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    store.write_minutes(DAY, bars_table([("NSE_EQ:A", bars(DAY, [0], 100))]))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store._place._fs, "pipe_file", full)
    with pytest.raises(DataFault, match=r"cannot be written \(No space left on device\)"):
        store.write_minutes(DAY, bars_table([("NSE_EQ:A", bars(DAY, [0], 200))]))
    assert store.minute_bars(["NSE_EQ:A"], DAY, DAY)["NSE_EQ:A"].close_paise.tolist() == [100]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_break_of_a_drill_day_is_no_outage_and_silence_within_a_session_is_one(tmp_path: Path) -> None:
    hours = [HoursRule(segment, date(2000, 1, 1), OPEN, 930, 910) for segment in Segment]
    drill = SpecialSession("drill", ((OPEN, 600), (690, 750)))
    store = ParquetPriceStore(str(tmp_path), MarketCalendar([DAY, NEXT], hours, {DAY: drill, NEXT: drill}))
    whole = [*range(45), *range(135, 195)]
    store.write_minutes(DAY, bars_table([("NSE_EQ:A", bars(DAY, whole))]))
    store.write_minutes(NEXT, bars_table([("NSE_EQ:A", bars(NEXT, [*range(45), *range(165, 195)]))]))
    midnight = ist_midnight_ns(NEXT)
    silent = (midnight + 690 * NS_PER_MINUTE, midnight + 720 * NS_PER_MINUTE)
    assert store.outages(DAY, NEXT) == {NEXT: [silent]}


def test_a_store_shown_as_of_a_day_knows_no_later_one_and_takes_nothing(store: ParquetPriceStore) -> None:
    for day, close in ((DAY, 700), (NEXT, 800)):
        store.write_minutes(day, bars_table([("NSE_EQ:A", bars(day, [0], close))]))
        store.write_ticks(day, ticks(day, [0], [close], "NSE_EQ:A"))
    past = ParquetPriceStore(store.url, CALENDAR, until=DAY)
    assert past.days("minute") == past.days("tick") == [DAY]
    assert past.minute_bars(["NSE_EQ:A"], DAY, NEXT)["NSE_EQ:A"].close_paise.tolist() == [700]
    assert past.daily_bars(["NSE_EQ:A"], DAY, NEXT)["NSE_EQ:A"].close_paise.tolist() == [700]
    assert past.ticks(["NSE_EQ:A"], DAY, NEXT)["NSE_EQ:A"][1].tolist() == [700]
    assert list(past.outages(DAY, NEXT)) == [DAY]
    assert [one.day for one in past.coverage("minute", DAY, NEXT)] == [DAY]
    assert past.symbols("minute", NEXT) == []
    assert list(past.market_minutes(["NSE_EQ:A"], NEXT)) == []
    assert len(list(past.market_minutes(["NSE_EQ:A"], DAY))) == 1
    with pytest.raises(DataFault, match="up to which the store is shown"):
        past.day_coverage("minute", NEXT)
    learnt = [
        CorporateAction(f"NSE_EQ:{day}", DAY, Fraction(1, 2), "split", "file", day) for day in (DAY, NEXT)
    ]
    store.write_actions("file", learnt)
    assert store.actions_of("file") == learnt
    assert past.actions_of("file") == learnt[:1]
    with pytest.raises(InvariantViolated, match="cannot be written"):
        past.write_ticks(DAY, ticks(DAY, [1], [1]))


# ------------------------------------------------------------ recorded minutes and quotes


def recorded(store: ParquetPriceStore, kind: Kind, minutes: dict[str, list[int]], close: int) -> None:
    with store.stage() as stage:
        stage.add(kind, DAY, bars_table([(key, bars(DAY, places, close)) for key, places in minutes.items()]))


def closes(store: ParquetPriceStore, key: str) -> dict[int, int]:
    found = store.minute_bars([key], DAY, DAY).get(key)
    if found is None:
        return {}
    minutes = (found.start_ns - ist_midnight_ns(DAY)) // NS_PER_MINUTE - OPEN
    return dict(zip(minutes.tolist(), found.close_paise.tolist(), strict=True))


@pytest.mark.parametrize("is_recorded_first", [True, False])
def test_a_recorded_session_stands_for_a_series_and_day_of_which_nothing_was_imported(
    store: ParquetPriceStore, is_recorded_first: bool
) -> None:
    imported = bars_table([("NSE_EQ:A", bars(DAY, [1, 2, 3], 900)), ("NSE_EQ:B", bars(DAY, [0], 900))])
    if not is_recorded_first:
        store.write_minutes(DAY, imported)
    recorded(store, "recorded", {"NSE_EQ:A": [0, 1, 2, 5], "NSE_EQ:C": [4]}, 700)
    if is_recorded_first:
        store.write_minutes(DAY, imported)
    store.write_minutes(NEXT, bars_table([("NSE_EQ:C", bars(NEXT, [0], 800))]))
    assert closes(store, "NSE_EQ:A") == {1: 900, 2: 900, 3: 900}
    assert closes(store, "NSE_EQ:C") == {4: 700}
    both = store.minute_bars(["NSE_EQ:C"], DAY, NEXT)["NSE_EQ:C"]
    assert both.close_paise.tolist() == [700, 800]
    assert store.symbols("minute", DAY) == ["NSE_EQ:A", "NSE_EQ:B"]


def test_of_a_whole_session_the_first_watcher_counts_and_of_parts_the_minutes_of_all(
    store: ParquetPriceStore,
) -> None:
    for close in (700, 800):
        recorded(store, "recorded", {"NSE_EQ:A": [0, close // 100]}, close)
        recorded(store, "recorded_in_part", {"NSE_EQ:A": [0, close // 100], f"NSE_EQ:{close}": [1]}, close)
    assert closes(store, "NSE_EQ:A") == {0: 700, 7: 700}
    assert store.day_coverage("recorded_in_part", DAY).rows == 5
    assert store.symbols("recorded_in_part", DAY) == ["NSE_EQ:700", "NSE_EQ:800", "NSE_EQ:A"]


def test_what_was_recorded_says_nothing_of_the_feed_and_makes_no_daily_bar(store: ParquetPriceStore) -> None:
    store.write_minutes(DAY, bars_table([("NSE_EQ:A", bars(DAY, [*range(100), *range(200, 375)]))]))
    silent = store.outages(DAY, DAY)
    assert len(silent[DAY]) == 1
    recorded(store, "recorded", {"NSE_EQ:B": [0, 374]}, 900)
    recorded(store, "recorded_in_part", {"NSE_EQ:C": list(range(375)), "NSE_EQ:D": [0, 100]}, 900)
    assert store.outages(DAY, DAY) == silent
    assert store.daily_bars(["NSE_EQ:B", "NSE_EQ:C"], DAY, DAY) == {}
    assert closes(store, "NSE_EQ:C") == {}
    covered = store.day_coverage("recorded_in_part", DAY)
    assert (covered.symbols, list(covered.gaps), covered.outages) == (2, ["NSE_EQ:D"], ())


def quotes(day: date, rows: list[tuple[str, int, int, int]]) -> pa.Table:
    base = ist_midnight_ns(day) + OPEN * NS_PER_MINUTE
    return pa.table(
        {
            "symbol": [row[0] for row in rows],
            "ts": pa.array([base + row[1] * NS_PER_MINUTE for row in rows], pa.int64()),
            "bid": pa.array([row[2] for row in rows], pa.int64()),
            "ask": pa.array([row[3] for row in rows], pa.int64()),
        }
    )


def test_quotes_are_kept_minute_by_minute(store: ParquetPriceStore) -> None:
    with store.stage() as stage:
        stage.add("quote", DAY, quotes(DAY, [("NSE_EQ:A", 0, 99, 101), ("NSE_EQ:A", 1, -1, 102)]))
    with store.stage() as stage:
        stage.add("quote", DAY, quotes(DAY, [("NSE_EQ:A", 1, 98, 99), ("NSE_EQ:A", 4, 97, -1)]))
    _, bid, ask = store.quotes(["NSE_EQ:A"], DAY, DAY)["NSE_EQ:A"]
    assert (bid.tolist(), ask.tolist()) == ([99, -1, 97], [101, 102, -1])
    assert store.outages(DAY, DAY) == {}


@pytest.mark.parametrize(("bid", "ask"), [(-1, -1), (0, 5), (5, -2)])
def test_a_quote_without_a_price_is_refused(store: ParquetPriceStore, bid: int, ask: int) -> None:
    with pytest.raises(SchemaFault, match="bid or ask"), store.stage() as stage:
        stage.add("quote", DAY, quotes(DAY, [("NSE_EQ:A", 0, bid, ask)]))
