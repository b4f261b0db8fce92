import gzip
import json
import zipfile
from datetime import date
from pathlib import Path

import pytest

from adapters.ticks.file_reports import FileReport
from adapters.ticks.importers import import_prices
from adapters.ticks.store import ParquetPriceStore
from propdesk.core.calendar import HoursRule, MarketCalendar, Segment
from propdesk.core.errors import DataFault, SchemaFault
from propdesk.intake.aliases import Aliases, Rename

DAY = date(2025, 11, 14)
QUOTED = date(2021, 8, 20)
CALENDAR = MarketCalendar(
    [QUOTED, date(2021, 9, 29), date(2021, 9, 30), DAY],
    [HoursRule(segment, date(2000, 1, 1), 555, 930, 910) for segment in Segment],
)
ALIASES = Aliases.build(
    {"NIFTY": [], "BANKNIFTY": []}, {}, [Rename("MCDOWELL-N", "UNITDSPR", date(2024, 6, 20))]
)
UDIFF_HEADER = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,"
    "OptnTp,FinInstrmNm,OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,UndrlygPric,SttlmPric,OpnIntrst,"
    "ChngInOpnIntrst,TtlTradgVol,TtlTrfVal,TtlNbOfTxsExctd,SsnId,NewBrdLotQty,Rmks,Rsvd1,Rsvd2,Rsvd3,Rsvd4\n"
)


@pytest.fixture
def store(tmp_path: Path) -> ParquetPriceStore:
    return ParquetPriceStore(str(tmp_path / "store"), CALENDAR)


def load(store: ParquetPriceStore, folder: Path, name: str, text: str) -> FileReport:
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name.removesuffix(".zip"), text)
    else:
        path.write_text(text, encoding="utf-8")
    (report,) = import_prices(store, [path], CALENDAR, ALIASES)
    return report


def close_of(store: ParquetPriceStore, key: str, day: date = DAY) -> tuple[int, int]:
    bars = store.daily_bars([key], day, day, from_minutes=False)[key]
    return int(bars.close_paise[0]), int(bars.volume[0])


def test_futures_of_today_take_their_day_from_the_name_and_keep_the_footer_apart(
    tmp_path: Path, store: ParquetPriceStore
) -> None:
    text = (
        "INSTRUMENT,SYMBOL    ,EXP_DATE  ,OPEN_PRICE ,HI_PRICE   ,LO_PRICE   ,CLOSE_PRICE,OPEN_INT*,TRD_VAL,"
        "TRD_QTY          ,NO_OF_CONT       ,NO_OF_TRADE\n"
        "FUTIDX    ,BANKNIFTY ,25/11/2025,00058384.00,00058690.00,00058300.20,00058644.40,1713110,1,"
        "             946715,27049,18524\n"
        "FUTSTK    ,MCDOWELL-N,25/11/2025,00001400.00,00001410.00,00001390.00,00001405.00,100,1,400,1,1\n"
        "* - OPEN_INT as available in the trading system.\n"
    )
    report = load(store, tmp_path, "fo14112025.csv.gz", text)
    assert (report.layout, report.rows, report.accepted) == ("fo_futures", 3, 2)
    assert report.defects == {"RAGGED": 1}
    assert close_of(store, "INDEX_FUT:BANKNIFTY:2025-11-25") == (5_864_440, 946_715)
    assert close_of(store, "STOCK_FUT:UNITDSPR:2025-11-25") == (140_500, 400)
    kept = Path(report.rejects).read_text(encoding="utf-8")
    assert "RAGGED,,,* - OPEN_INT as available" in kept


def test_options_of_today_are_named_by_strike_and_type_and_unreadable_ones_kept(
    tmp_path: Path, store: ParquetPriceStore
) -> None:
    header = (
        "INSTRUMENT,SYMBOL,EXP_DATE,STR_PRICE,OPT_TYPE,OPEN_PRICE,HI_PRICE,LO_PRICE,CLOSE_PRICE,TRD_QTY\n"
    )
    rows = (
        "OPTIDX,NIFTY,25/11/2025,00025000.00,CE,100.00,120.00,90.00,110.05,75\n"
        "OPTIDX,NIFTY,25/11/2025,00025000.00,PE,0,0,0,812.30,0\n"
        "OPTIDX,NIFTY,soon,00025000.00,PE,1,2,1,2,75\n"
        "OPTIDX,NIFTY,25/11/2025,00025000.00,XX,1,2,1,2,75\n"
        "UNDCUR,USDINR,25/11/2025,00000084.00,CE,1,2,1,2,75\n"
    )
    report = load(store, tmp_path, "op14112025.csv", header + rows)
    assert report.defects == {"UNTRADED": 1, "BAD_CONTRACT": 2, "OTHER_MARKET": 1}
    assert close_of(store, "INDEX_OPT:NIFTY:2025-11-25:2500000:CE") == (11_005, 75)
    kept = Path(report.rejects).read_text(encoding="utf-8").splitlines()
    assert len(kept) == 3
    assert "?OPTIDX NIFTY soon" in kept[1]


def test_a_file_without_a_day_in_rows_and_name_is_refused(tmp_path: Path, store: ParquetPriceStore) -> None:
    header = "INSTRUMENT,SYMBOL,EXP_DATE,OPEN_PRICE,HI_PRICE,LO_PRICE,CLOSE_PRICE,TRD_QTY\n"
    row = "FUTIDX,NIFTY,25/11/2025,1,2,1,2,75\n"
    with pytest.raises(SchemaFault, match=r"like fo14112025\.csv"):
        load(store, tmp_path, "futures.csv", header + row)
    with pytest.raises(SchemaFault, match=r"like fo14112025\.csv"):
        load(store, tmp_path, "fo31022025.csv", header + row)


def test_the_unified_file_counts_derivatives_in_lots_and_shares_in_units(
    tmp_path: Path, store: ParquetPriceStore
) -> None:
    start = "2025-11-14,2025-11-14"
    rows = (
        f"{start},FO,NSE,IDF,1,,NIFTY,,2025-11-25,2025-11-25,,,N,26399,26401.4,26086,26123.8,26115,26459.15,"
        "25810.85,26123.8,1102750,-75900,26876,17610263267.50,16174,F1,75,,,,,\n"
        f"{start},FO,BSE,STO,2,,RELIANCE,,2025-11-25,2025-11-25,1300,CE,R,25,30,22,28,27.5,29,1296,28,9,1,"
        "662,1,585,F1,500,,,,,\n"
        f"{start},FO,NSE,IDO,3,,NIFTY,,2025-11-25,2025-11-25,27300,PE,N,0,0,0,980.55,988.75,980.55,25810.85,"
        "1416.4,2700,0,0,0,0,F1,75,,,,,\n"
        f"{start},CM,NSE,STK,4,INE0,INFY,EQ,,,,,INFOSYS,1500,1520,1490,1510.10,1510,1499.95,,1510.1,,,"
        "1234,1,10,F1,1,,,,,\n"
        f"{start},CM,NSE,STK,5,INE0,INFY,N1,,,,,BOND,100,100,100,100,100,100,,100,,,5,1,1,F1,1,,,,,\n"
        f"{start},CM,BSE,STK,6,INE0,INFY,A,,,,,INFOSYS,1,2,1,2,2,2,,2,,,5,1,1,F1,1,,,,,\n"
    )
    report = load(store, tmp_path, "BhavCopy_NSE_FO_0_0_0_20251114_F_0000.csv.zip", UDIFF_HEADER + rows)
    assert (report.layout, report.rows, report.accepted) == ("udiff", 6, 3)
    assert report.defects == {"UNTRADED": 1, "OTHER_SERIES": 1, "OTHER_MARKET": 1}
    assert close_of(store, "INDEX_FUT:NIFTY:2025-11-25") == (2_612_380, 26_876 * 75)
    assert close_of(store, "STOCK_OPT:RELIANCE:2025-11-25:130000:CE") == (2_800, 662 * 500)
    assert close_of(store, "NSE_EQ:INFY") == (151_010, 1_234)


def test_formats_up_to_july_2024(tmp_path: Path, store: ParquetPriceStore) -> None:
    shares = (
        "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
        "INFY,EQ,1500,1520,1490,1510.1,1510,1499.95,1234,1,14-NOV-2025,10,INE0,\n"
        "SME,SM,10,11,9,10,10,10,7,1,14-NOV-2025,10,INE1,\n"
        "INFY,GB,10,11,9,10,10,10,7,1,14-NOV-2025,10,INE1,\n"
    )
    report = load(store, tmp_path, "cm14NOV2025bhav.csv", shares)
    assert (report.layout, dict(report.defects)) == ("equity_classic", {"OTHER_SERIES": 2})
    assert close_of(store, "NSE_EQ:INFY") == (151_010, 1_234)
    contracts = (
        "INSTRUMENT,SYMBOL,EXPIRY_DT,STRIKE_PR,OPTION_TYP,OPEN,HIGH,LOW,CLOSE,SETTLE_PR,CONTRACTS,VAL_INLAKH,"
        "OPEN_INT,CHG_IN_OI,TIMESTAMP,\n"
        "FUTIDX,NIFTY,25-Nov-2025,0,XX,100,110,90,105,105,12,1,1,1,14-NOV-2025,\n"
        "OPTSTK,INFY,25-Nov-2025,1500,CE,10,10,10,10,9.5,0,0,0,0,14-NOV-2025,\n"
    )
    report = load(store, tmp_path, "fo14NOV2025bhav.csv", contracts)
    assert (report.layout, dict(report.defects)) == ("fo_classic", {"UNTRADED": 1})
    assert close_of(store, "INDEX_FUT:NIFTY:2025-11-25") == (10_500, -1)  # in contracts, of an unknown lot


def test_snapshots_of_a_contract_give_its_last_traded_prices(
    tmp_path: Path, store: ParquetPriceStore
) -> None:
    name = "BANKNIFTY21SEP35300CE"
    text = (
        "symbol,ts_ist,ltp,cum_volume,bid,ask,open,high,low\n"
        f"{name},2021-08-20 10:00:05,761.0,75,760,762,0,0,0\n"
        f"{name},2021-08-20 10:00:01,760.8,50,760,759,0,0,0\n"
        f"{name},2021-08-20 10:00:05,761.0,75,760.5,762,0,0,0\n"
        f"{name},1970-01-01 05:30:00,761.0,75,760,762,0,0,0\n"
        "BANKNIFTY2182635300CE,2021-08-20 10:00:05,1,75,1,2,0,0,0\n"
    )
    report = load(store, tmp_path, "quotes.csv", text)
    assert (report.layout, report.accepted) == ("quote", 2)
    assert report.defects == {"DUPLICATE": 1, "OFF_DAY": 1, "BAD_CONTRACT": 1}
    assert report.notes == {"OUT_OF_ORDER": 1, "SHARED_SECOND": 1, "CROSSED_QUOTE": 1}
    _, prices = store.ticks(["INDEX_OPT:BANKNIFTY:2021-09-30:3530000:CE"], QUOTED, QUOTED).popitem()[1]
    assert prices.tolist() == [76_080, 76_100]


def test_what_became_of_a_file_stands_in_the_manifest(tmp_path: Path, store: ParquetPriceStore) -> None:
    text = "symbol,ts_ist,open,high,low,close\nINFY,2025-11-14 09:15:00,100,101,99,100\nINFY,never,1,1,1,1\n"
    load(store, tmp_path, "bars.csv", text)
    (told,) = (tmp_path / "store" / "manifest" / "imports").iterdir()
    found = json.loads(told.read_text(encoding="utf-8"))
    assert (found["rows"], found["accepted"], found["defects"]) == (2, 1, {"BAD_TIME": 1})
    assert (
        Path(found["rejects"])
        .read_text(encoding="utf-8")
        .splitlines()[1]
        .startswith("2,BAD_TIME,NSE_EQ:INFY")
    )


def test_an_archive_must_hold_one_file(tmp_path: Path, store: ParquetPriceStore) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(DataFault, match="holds 2 files"):
        import_prices(store, [tmp_path / "two.zip"], CALENDAR, ALIASES)
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataFault, match=r"no readable Parquet or CSV"):
        import_prices(store, [tmp_path / "bad.zip"], CALENDAR, ALIASES)
