import gzip
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.ticks import importers
from adapters.ticks.columns import price_key
from adapters.ticks.file_reports import FileReport
from adapters.ticks.importers import import_prices, price_instruments
from adapters.ticks.store import ParquetPriceStore
from propdesk.core.calendar import HoursRule, MarketCalendar, Segment, SpecialSession
from propdesk.core.errors import DataFault, SchemaFault
from propdesk.intake.aliases import Aliases

DAY, NEXT = date(2021, 4, 5), date(2021, 4, 6)
CALENDAR = MarketCalendar(
    [DAY, NEXT], [HoursRule(segment, date(2000, 1, 1), 555, 930, 910) for segment in Segment]
)
ALIASES = Aliases.build({"NIFTY": ["NIFTY50", "NIFTY 50"], "INDIAVIX": ["INDIA VIX"]}, {})
HEADER = "symbol,ts_ist,open,high,low,close,volume\n"


@pytest.fixture
def store(tmp_path: Path) -> ParquetPriceStore:
    return ParquetPriceStore(str(tmp_path / "store"), CALENDAR)


def load(store: ParquetPriceStore, path: Path, kind: str = "auto") -> FileReport:
    (report,) = import_prices(store, [path], CALENDAR, ALIASES, kind=kind)
    return report


def csv_file(tmp_path: Path, text: str, name: str = "bars.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_bad_row_is_refused_with_its_reason_and_kept(tmp_path: Path, store: ParquetPriceStore) -> None:
    path = csv_file(
        tmp_path,
        HEADER
        + "INFY,2021-04-05 09:15:00,100.05,101,99.95,100.5,\n"
        + "NIFTY 50,2021-04-05 09:15:00,14500,14510,14490,14505,77\n"
        + "INFY,2021-04-05 09:14:00,100,101,99,100,5\n"
        + "INFY,2021-04-05 15:30:00,100,101,99,100,5\n"
        + "INFY,2021-04-04 10:00:00,100,101,99,100,5\n"
        + "INFY,2021-04-05 09:16:00,100,99,98,100,5\n"
        + "INFY,2021-04-05 09:17:00,NaN,101,99,100,5\n"
        + "INFY,2021-04-05 09:18:00,-1,101,99,100,5\n"
        + "INFY,2021-04-05 09:19:00,1e308,101,99,100,5\n"
        + "INFY,yesterday,100,101,99,100,5\n"
        + "INFY,2021-04-05 09:15:00,100.05,101,99.95,100.5,\n"
        + "INFY,2021-04-06 09:15:00,100,101,99,100,5\n",
    )
    report = load(store, path)
    assert report.defects == {
        "OUT_OF_HOURS": 2,
        "OFF_DAY": 1,
        "IMPOSSIBLE_OHLC": 1,
        "BAD_PRICE": 3,
        "BAD_TIME": 1,
        "DUPLICATE": 1,
    }
    assert (report.rows, report.accepted) == (12, 3)
    assert report.spans == {"NSE_EQ:INFY": (DAY, NEXT), "INDEX:NIFTY": (DAY, DAY)}
    kept = Path(report.rejects).read_text(encoding="utf-8").splitlines()
    assert len(kept) == 10
    assert kept[1].startswith("3,OUT_OF_HOURS,NSE_EQ:INFY,2021-04-05 09:14:00 IST")
    found = store.minute_bars(["NSE_EQ:INFY", "INDEX:NIFTY"], DAY, NEXT)
    assert found["NSE_EQ:INFY"].open_paise.tolist() == [10_005, 10_000]
    assert found["NSE_EQ:INFY"].volume.tolist() == [-1, 5]
    assert found["INDEX:NIFTY"].volume.tolist() == [-1]


def test_rows_marked_as_filled_are_no_observations(tmp_path: Path, store: ParquetPriceStore) -> None:
    stamps = [datetime(2021, 4, 5, 9, 15), datetime(2021, 4, 5, 9, 16)]  # noqa: DTZ001 - IST without a zone
    table = pa.table(
        {
            "symbol": ["NIFTY", "NIFTY"],
            "ts_ist": pa.array(stamps, pa.timestamp("us")),
            **{name: [100.0, 100.0] for name in ("open", "high", "low", "close")},
            "filled": [False, True],
        }
    )
    pq.write_table(table, tmp_path / "index.parquet")
    report = load(store, tmp_path / "index.parquet")
    assert report.defects == {"FILLED": 1}
    assert report.accepted == 1


def test_ticks_take_their_name_from_the_file_and_lose_only_exact_repeats(
    tmp_path: Path, store: ParquetPriceStore
) -> None:
    stamp = datetime(2021, 4, 5, 9, 15, 3)  # noqa: DTZ001 - IST without a zone
    table = pa.table(
        {
            "ts_ist": pa.array([stamp] * 5, pa.timestamp("ms")),
            "ltp_paise": pa.array([10_000, 10_005, 10_000, 10_000, 0], pa.int32()),
            "cum_volume": pa.array([10] * 5, pa.int64()),
        }
    )
    pq.write_table(table, tmp_path / "INFY.parquet")
    report = load(store, tmp_path / "INFY.parquet")
    assert report.defects == {"DUPLICATE": 1, "BAD_PRICE": 1}
    times, prices = store.ticks(["NSE_EQ:INFY"], DAY, DAY)["NSE_EQ:INFY"]
    assert prices.tolist() == [10_000, 10_005, 10_000]  # there and back is a path, not a repeat
    assert len(times) == 3


def test_a_raw_bhavcopy_with_blanks_and_other_series(tmp_path: Path, store: ParquetPriceStore) -> None:
    text = (
        "SYMBOL, SERIES, DATE1, PREV_CLOSE, OPEN_PRICE, HIGH_PRICE, LOW_PRICE, LAST_PRICE, CLOSE_PRICE, "
        "TTL_TRD_QNTY, DELIV_PER\n"
        "INFY, EQ, 05-Apr-2021, 99, 100.00, 101.10, 99.00, 100, 100.55, 1234, -\n"
        "GOLDBOND, GB, 05-Apr-2021, 99, 100.00, 101.10, 99.00, 100, 100.55, 1, -\n"
    )
    path = tmp_path / "bhav.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    report = load(store, path)
    assert (report.layout, report.accepted, dict(report.defects)) == ("bhavcopy", 1, {"OTHER_SERIES": 1})
    found = store.daily_bars(["NSE_EQ:INFY"], DAY, DAY)["NSE_EQ:INFY"]
    assert (found.close_paise.tolist(), found.volume.tolist()) == ([10_055], [1_234])
    assert report.rejects == ""


def test_daily_index_rows_forgive_single_precision_only(tmp_path: Path, store: ParquetPriceStore) -> None:
    path = csv_file(
        tmp_path,
        "symbol,Date,Close,High,Low,Open,Volume\n"
        "NIFTY50,2021-04-05,100.004,100.00,99.50,99.60,5\n"
        "INDIAVIX,2021-04-06,20,19.5,18,19,0\n",
    )
    report = load(store, path)
    assert report.defects == {"IMPOSSIBLE_OHLC": 1}
    assert store.daily_bars(["INDEX:NIFTY"], DAY, NEXT)["INDEX:NIFTY"].volume.tolist() == [-1]


@pytest.mark.parametrize(
    ("name", "payload", "word"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"alpha,beta\n1,2\n", "fits no known price layout"),
        ("a.parquet", b"\x00\x01\x02", "no readable Parquet"),
        ("a.csv.gz", gzip.compress(HEADER.encode() * 5_000, mtime=0)[:60], "a.csv.gz"),
        ("a.csv", HEADER.encode(), "has no rows"),
    ],
)
def test_a_file_that_is_none_gives_one_sentence_and_leaves_nothing(
    tmp_path: Path, store: ParquetPriceStore, name: str, payload: bytes, word: str
) -> None:
    path = tmp_path / name
    path.write_bytes(payload)
    with pytest.raises(DataFault, match=word):
        load(store, path)
    assert store.days("minute") == []


def test_a_missing_column_of_the_layout_asked_for_is_named(tmp_path: Path, store: ParquetPriceStore) -> None:
    path = csv_file(tmp_path, "symbol,ts_ist,open,high,low\nA,2021-04-05 09:15:00,1,1,1\n")
    with pytest.raises(SchemaFault, match="lacks the column close"):
        load(store, path, kind="minute")
    with pytest.raises(SchemaFault, match="no layout 'weekly'"):
        load(store, path, kind="weekly")


def test_a_path_that_does_not_exist_is_named(tmp_path: Path, store: ParquetPriceStore) -> None:
    with pytest.raises(DataFault, match=r"nowhere.*does not exist"):
        load(store, tmp_path / "nowhere")
    with pytest.raises(DataFault, match="holds no"):
        load(store, tmp_path)


def test_days_that_do_not_fit_into_memory_wait_in_files(
    tmp_path: Path, store: ParquetPriceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importers, "SPILL_ROWS", 10)
    monkeypatch.setattr("adapters.ticks.layouts.BATCH_ROWS", 7)
    rows = [(d, s, m) for s in ("B", "A") for d in (5, 6) for m in range(30)]
    stamps = [np.datetime64(f"2021-04-0{d}T09:15:00") + np.timedelta64(m, "m") for d, _, m in rows]
    table = pa.table(
        {
            "symbol": [s for _, s, _ in rows],
            "ts_ist": pa.array(np.array(stamps, "datetime64[ms]")),
            **{name: [100.0 + m for _, _, m in rows] for name in ("open", "high", "low", "close")},
        }
    )
    pq.write_table(table, tmp_path / "many.parquet")
    report = load(store, tmp_path / "many.parquet")
    assert report.accepted == 120
    found = store.minute_bars(["NSE_EQ:A", "NSE_EQ:B"], DAY, NEXT)
    assert found["NSE_EQ:A"].close_paise.tolist() == [10_000 + 100 * m for m in range(30)] * 2
    assert found["NSE_EQ:B"].close_paise.tolist() == found["NSE_EQ:A"].close_paise.tolist()


def test_instruments_follow_from_what_was_imported(tmp_path: Path, store: ParquetPriceStore) -> None:
    first = csv_file(
        tmp_path, HEADER + "INFY,2021-04-05 09:15:00,1,1,1,1,1\nNIFTY,2021-04-05 09:15:00,1,1,1,1,1\n"
    )
    second = csv_file(tmp_path, HEADER + "INFY,2021-04-06 09:15:00,1,1,1,1,1\n", "more.csv")
    (row,) = price_instruments(import_prices(store, [first, second], CALENDAR, ALIASES))
    assert (row.instrument_key, row.lot_size, row.tick_paise) == ("NSE_EQ:INFY", 1, 5)
    assert (row.valid_from, row.valid_to) == (DAY, NEXT)


@pytest.mark.parametrize(
    ("symbol", "key"),
    [
        ("NIFTY 50", "INDEX:NIFTY"),
        ("india vix", "INDEX:INDIAVIX"),
        ("NIFTY_PSU_BANK", "INDEX:NIFTY_PSU_BANK"),
        ("NIFTYBEES", "NSE_EQ:NIFTYBEES"),
        ("M&M", "NSE_EQ:M&M"),
        ("BAJAJ-AUTO", "NSE_EQ:BAJAJ-AUTO"),
    ],
)
def test_names_become_keys(symbol: str, key: str) -> None:
    assert price_key(symbol, ALIASES) == key


def test_bars_in_the_break_of_a_drill_day_are_out_of_hours(tmp_path: Path) -> None:
    hours = [HoursRule(segment, date(2000, 1, 1), 555, 930, 910) for segment in Segment]
    drill = MarketCalendar([DAY], hours, {DAY: SpecialSession("drill", ((555, 600), (690, 750)))})
    times = ("09:59", "10:00", "11:29", "11:30", "12:30")
    rows = [f"INFY,2021-04-05 {time}:00,100,101,99,100,5\n" for time in times]
    path = csv_file(tmp_path, HEADER + "".join(rows))
    (report,) = import_prices(ParquetPriceStore(str(tmp_path / "store"), drill), [path], drill, ALIASES)
    assert (report.accepted, report.defects) == (2, {"OUT_OF_HOURS": 3})
