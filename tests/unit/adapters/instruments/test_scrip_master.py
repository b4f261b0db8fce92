import gzip
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from adapters.db.repos.instruments import LoadedInstruments, merge_snapshot
from adapters.instruments import OPEN_END, read_scrip_master
from propdesk.core.errors import SchemaFault
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument

DAY = date(2025, 1, 2)
REAL = Path(__file__).resolve().parents[4] / ".." / "shared" / "data" / "dhan_scrip_master"
COMPACT = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,SEM_TRADING_SYMBOL,"
    "SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,SEM_OPTION_TYPE,SEM_TICK_SIZE,"
    "SEM_EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,SM_SYMBOL_NAME"
)
ROWS = (
    "NSE,E,2885,EQUITY,0,RELIANCE,1,Reliance,,,,10,NA,ES,EQ,RELIANCE INDUSTRIES LTD",
    "NSE,E,99,EQUITY,0,TWICE,1,Twice,,,,5,NA,ES,BE,TWICE",
    "NSE,E,98,EQUITY,0,TWICE,1,Twice,,,,5,NA,ES,EQ,TWICE",
    "NSE,D,1,FUTSTK,0,RELIANCE-Jan2025-FUT,500.0,x,2025-01-30 14:30:00,-0.01000,XX,5.0000,M,FUT,,",
    "NSE,D,2,OPTIDX,0,BANKNIFTY-Jan2025-52000.5-PE,30.0,x,2025-01-30 14:30:00,52000.50000,PE,5.0,M,OP,,",
    "NSE,D,3,OPTIDX,0,NIFTY-Jan2025-24000-CE,75.0,x,0001-01-01,24000,CE,5.0000,W,OP,,",
    "NSE,I,13,INDEX,0,NIFTY,1,Nifty 50,0001-01-01,,XX,0.05,,INDEX,X,NIFTY",
    "BSE,E,500325,EQUITY,0,RELIANCE,1,Reliance,,,,5,NA,ES,A,RELIANCE",
    "NSE,E,7,EQUITY,0,GOI,1,Bond,,,,1,NA,DBT,SG,BOND",
)


def master(tmp_path: Path, header: str = COMPACT, rows: tuple[str, ...] = ROWS, name: str = "m.csv") -> Path:
    path = tmp_path / name
    text = "\n".join([header, *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["m.csv", "m.csv.gz"])
def test_the_compact_layout(tmp_path: Path, name: str) -> None:
    found = read_scrip_master(master(tmp_path, name=name), DAY)
    by_key = {one.instrument_key: one for one in found.instruments}
    assert set(by_key) == {
        "NSE_EQ:RELIANCE",
        "NSE_EQ:TWICE",
        "STOCK_FUT:RELIANCE:2025-01-30",
        "INDEX_OPT:BANKNIFTY:2025-01-30:5200050:PE",
    }
    share, contract = by_key["NSE_EQ:RELIANCE"], by_key["INDEX_OPT:BANKNIFTY:2025-01-30:5200050:PE"]
    assert (share.tick_paise, share.has_derivatives, share.valid_from, share.valid_to) == (
        10,
        True,
        DAY,
        OPEN_END,
    )
    assert by_key["NSE_EQ:TWICE"].security_id == "98"
    assert not by_key["NSE_EQ:TWICE"].has_derivatives
    assert (contract.lot_size, contract.freeze_quantity, contract.exchange_segment) == (30, 900, "NSE_FNO")
    assert (contract.option_type, contract.valid_to) == (OptionType.PE, date(2025, 1, 30))
    assert sum(found.skipped.values()) == 5


def test_rows_with_their_own_validity(tmp_path: Path) -> None:
    rows = (
        ROWS[0] + ",2024-01-01,2024-06-30,",
        ROWS[0].replace(",10,", ",5,") + ",2024-07-01,,",
        ROWS[3] + ",2024-11-01,2025-01-30,40000",
        ROWS[1] + ",2024-07-01,2024-01-01,",
    )
    found = read_scrip_master(master(tmp_path, COMPACT + ",valid_from,valid_to,freeze_quantity", rows), DAY)
    assert found.is_dated
    ticks = [(one.tick_paise, one.valid_from, one.valid_to) for one in found.instruments if not one.expiry]
    assert ticks == [(10, date(2024, 1, 1), date(2024, 6, 30)), (5, date(2024, 7, 1), OPEN_END)]
    assert [one.freeze_quantity for one in found.instruments if one.expiry] == [40_000]
    assert found.skipped["unreadable validity"] == 1


def test_the_detailed_layout(tmp_path: Path) -> None:
    header = (
        "EXCH_ID,SEGMENT,SECURITY_ID,INSTRUMENT,UNDERLYING_SYMBOL,SYMBOL_NAME,INSTRUMENT_TYPE,SERIES,LOT_SIZE,"
        "SM_EXPIRY_DATE,STRIKE_PRICE,OPTION_TYPE,TICK_SIZE"
    )
    rows = ("NSE,D,5,OPTSTK,TCS,TCS-Jan2025-4000-CE,OP,,175,2025-01-30,4000,CE,5",)
    found = read_scrip_master(master(tmp_path, header, rows), DAY)
    assert (found.layout, found.instruments[0].instrument_key) == (
        "detailed",
        "STOCK_OPT:TCS:2025-01-30:400000:CE",
    )


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [("a,b,c", ("1,2,3",), "known scrip-master layouts"), (COMPACT, ROWS[6:7], "no instrument we trade")],
)
def test_what_is_no_master(tmp_path: Path, header: str, rows: tuple[str, ...], words: str) -> None:
    with pytest.raises(SchemaFault, match=words):
        read_scrip_master(master(tmp_path, header, rows), DAY)


def test_an_absent_or_broken_file(tmp_path: Path) -> None:
    with pytest.raises(SchemaFault, match="download it again"):
        read_scrip_master(tmp_path / "absent.csv", DAY)
    (tmp_path / "cut.csv.gz").write_bytes(master(tmp_path, name="m.csv.gz").read_bytes()[:-12])
    with pytest.raises(SchemaFault, match="download it again"):
        read_scrip_master(tmp_path / "cut.csv.gz", DAY)


@pytest.mark.skipif(not REAL.exists(), reason="the shared data folder is not beside this clone")
def test_real_masters() -> None:
    compact = read_scrip_master(REAL / "dhan_compact_equity_index_2026-06.csv.gz", date(2026, 6, 1))
    reduced = read_scrip_master(REAL / "dhan_derived_fno_2025-09.csv.gz", date(2025, 9, 10))
    shares = {one.instrument_key: one for one in compact.instruments}
    contracts = {one.instrument_key: one for one in reduced.instruments}
    assert len(compact.instruments) + sum(compact.skipped.values()) == 23_116
    assert len(reduced.instruments) + sum(reduced.skipped.values()) == 19_118
    assert shares["NSE_EQ:RELIANCE"].security_id == "2885"
    assert contracts["INDEX_OPT:NIFTY:2029-06-26:3900000:PE"].lot_size == 65
    assert {one.category for one in reduced.instruments} == {
        Category.NSE_EQ,
        Category.INDEX_FUT,
        Category.INDEX_OPT,
    }


# ------------------------------------------------------------------------------------------ history


def share(first: date, last: date = OPEN_END, lot: int = 1, symbol: str = "X") -> Instrument:
    return Instrument(
        f"NSE_EQ:{symbol}",
        Category.NSE_EQ,
        symbol,
        None,
        None,
        None,
        "NSE_EQ",
        "1",
        lot,
        5,
        0,
        "EQ",
        False,
        first,
        last,
    )


def test_a_later_master_closes_what_changed_and_what_went() -> None:
    old = [
        share(date(2024, 1, 1)),
        share(date(2024, 1, 1), symbol="GONE"),
        share(date(2024, 1, 1), symbol="SAME"),
    ]
    new = [share(DAY, lot=10), share(DAY, symbol="SAME"), share(DAY, symbol="NEW")]
    history, loaded = merge_snapshot(old, new, DAY)
    assert loaded == LoadedInstruments(added=2, closed=2, unchanged=1)
    spans = sorted((one.underlying, one.lot_size, one.valid_from, one.valid_to) for one in history)
    assert spans == [
        ("GONE", 1, date(2024, 1, 1), date(2025, 1, 1)),
        ("NEW", 1, DAY, OPEN_END),
        ("SAME", 1, date(2024, 1, 1), OPEN_END),
        ("X", 1, date(2024, 1, 1), date(2025, 1, 1)),
        ("X", 10, DAY, OPEN_END),
    ]
    assert merge_snapshot(history, new, DAY)[1] == LoadedInstruments(added=0, closed=0, unchanged=3)


def test_an_older_master_loaded_later_ends_where_the_known_begins() -> None:
    history, _ = merge_snapshot([share(DAY, lot=10)], [share(date(2024, 1, 1))], date(2024, 1, 1))
    assert sorted((one.lot_size, one.valid_from, one.valid_to) for one in history) == [
        (1, date(2024, 1, 1), date(2025, 1, 1)),
        (10, DAY, OPEN_END),
    ]


def test_a_second_master_of_the_same_day_replaces_the_first() -> None:
    history, loaded = merge_snapshot([share(DAY)], [replace(share(DAY), lot_size=5)], DAY)
    assert [(one.lot_size, one.valid_from) for one in history] == [(5, DAY)]
    assert loaded == LoadedInstruments(added=1, closed=1, unchanged=0)
