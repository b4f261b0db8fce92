"""The exchange's own files: bhavcopies in their layouts, lot tables."""

from datetime import date
from pathlib import Path

import pytest

from adapters.instruments import OPEN_END, InstrumentFile, read_instrument_file, recognise
from propdesk.core.errors import SchemaFault
from propdesk.intake.history import Coverage

DAY = date(2025, 11, 14)
FUTURES = (
    "INSTRUMENT,SYMBOL    ,EXP_DATE  ,OPEN_PRICE ,HI_PRICE   ,LO_PRICE   ,CLOSE_PRICE,OPEN_INT*      ,"
    "TRD_VAL           ,TRD_QTY          ,NO_OF_CONT       ,NO_OF_TRADE      "
)
OPTIONS = (
    "INSTRUMENT,SYMBOL    ,EXP_DATE  ,STR_PRICE  ,OPT_TYPE,OPEN_PRICE ,HI_PRICE   ,LO_PRICE   ,CLOSE_PRICE,"
    "OPEN_INT*      ,TRD_QTY          ,NO_OF_CONT       ,NO_OF_TRADE      ,"
    "NOTION_VAL        ,PR_VAL            "
)
CLASSIC = (
    "INSTRUMENT,SYMBOL,EXPIRY_DT,STRIKE_PR,OPTION_TYP,OPEN,HIGH,LOW,CLOSE,SETTLE_PR,CONTRACTS,VAL_INLAKH,"
    "OPEN_INT,CHG_IN_OI,TIMESTAMP,"
)
UDIFF = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,"
    "OptnTp,FinInstrmNm,OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,UndrlygPric,SttlmPric,OpnIntrst,"
    "ChngInOpnIntrst,TtlTradgVol,TtlTrfVal,TtlNbOfTxsExctd,SsnId,NewBrdLotQty,Rmks,Rsvd1,Rsvd2,Rsvd3,Rsvd4"
)
DELIVERY = (
    "SYMBOL, SERIES, DATE1, PREV_CLOSE, OPEN_PRICE, HIGH_PRICE, LOW_PRICE, LAST_PRICE, CLOSE_PRICE,"
    " AVG_PRICE, TTL_TRD_QNTY, TURNOVER_LACS, NO_OF_TRADES, DELIV_QTY, DELIV_PER"
)


def read(
    tmp_path: Path, header: str, *rows: str, name: str = "file.csv", day: date | None = None
) -> InstrumentFile:
    path = tmp_path / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return read_instrument_file(path, day)


def future(symbol: str, expiry: str, quantity: int, contracts: int, close: str = "00000100.00") -> str:
    kind = "FUTIDX" if "NIFTY" in symbol else "FUTSTK"
    return f"{kind}    ,{symbol:10},{expiry},1,1,1,{close},000,1.00,{quantity:17},{contracts:17},  7"


def option(symbol: str, expiry: str, strike: str, quantity: int, contracts: int) -> str:
    kind = "OPTIDX" if "NIFTY" in symbol else "OPTSTK"
    numbers = f"1,1,1,00000003.50,000,{quantity:17},{contracts:17},9,1.00,1.00"
    return f"{kind}    ,{symbol:10},{expiry},{strike},CE      ,{numbers}"


def test_what_traded_shows_the_lot_of_the_contract(tmp_path: Path) -> None:
    """On 2025-11-14 the January contract had the new lot of 65 already, the half-yearly one still 75."""
    rows = [future("NIFTY", "27/01/2026", 130, 2), future("NIFTY", "30/06/2026", 150, 2)]
    found = read(tmp_path, FUTURES, *rows, "* - OPEN_INT as available" + " " * 300, name="fo14112025.csv")
    assert [(one.expiry, one.lot_size) for one in found.instruments] == [
        (date(2026, 1, 27), 65),
        (date(2026, 6, 30), 75),
    ]
    assert (found.layout, found.source, found.day) == ("fo_futures", "nse_fo_bhavcopy", DAY)
    assert (found.coverage, found.skipped) == (Coverage.TRADED, {"footnote": 1})
    one = found.instruments[0]
    assert (one.freeze_quantity, one.tick_paise, one.security_id) == (0, 5, "")
    assert (one.valid_from, one.valid_to) == (DAY, date(2026, 1, 27))


def test_an_untraded_contract_has_the_lot_its_expiry_shows(tmp_path: Path) -> None:
    rows = [option("TCS", "25/11/2025", "3000.00", 350, 2), option("TCS", "25/11/2025", "3100.00", 0, 0)]
    found = read(tmp_path, OPTIONS, *rows, name="op14112025.csv")
    assert [one.lot_size for one in found.instruments] == [175, 175]
    assert found.instruments[1].instrument_key == "STOCK_OPT:TCS:2025-11-25:310000:CE"


def test_a_very_cheap_share_trades_more_than_a_thousand_million_units(tmp_path: Path) -> None:
    found = read(
        tmp_path, FUTURES, future("IDEA", "25/11/2025", 1_178_336_850, 16_486), name="fo14112025.csv"
    )
    assert [one.lot_size for one in found.instruments] == [71_475]


@pytest.mark.parametrize(
    "rows",
    [
        [future("TCS", "25/11/2025", 351, 2)],
        [future("TCS", "25/11/2025", 350, 2), future("TCS", "25/11/2025", 360, 2)],
    ],
)
def test_trades_that_show_no_one_lot_are_rejected(tmp_path: Path, rows: list[str]) -> None:
    good = future("INFY", "25/11/2025", 400, 1)
    found = read(tmp_path, FUTURES, *rows, good, name="fo14112025.csv")
    assert {one.underlying for one in found.instruments} == {"INFY"}
    assert {one.reason for one in found.rejected} == {"LOT_CONFLICT"}


def test_a_bhavcopy_without_a_day_in_it_or_its_name_needs_one(tmp_path: Path) -> None:
    row = future("NIFTY", "27/01/2026", 130, 2)
    with pytest.raises(SchemaFault, match="carries no day"):
        read(tmp_path, FUTURES, row)
    assert read(tmp_path, FUTURES, row, day=DAY).day == DAY
    with pytest.raises(SchemaFault, match="carries no day"):
        read(tmp_path, FUTURES, row, name="fo99992025.csv")


def test_the_derivatives_layout_up_to_july_2024(tmp_path: Path) -> None:
    rows = (
        "OPTIDX,NIFTY,28-MAR-2024,22000,CE,1,1,1,120.5,1,9,1,1,1,18-MAR-2024,",
        "FUTIDX,BANKNIFTY,27-MAR-2024,0,XX,1,1,1,46500.05,1,9,1,1,1,18-MAR-2024,",
        "FUTSTK,TCS,28-MAR-2024,0,XX,1,1,1,4000,1,9,1,1,1,18-MAR-2024,",
        "FUTIVX,INDIAVIX,28-MAR-2024,0,XX,1,1,1,14,1,9,1,1,1,18-MAR-2024,",
    )
    found = read(tmp_path, CLASSIC, *rows)
    assert (found.layout, found.day) == ("fo_classic", date(2024, 3, 18))
    assert [(one.instrument_key, one.lot_size) for one in found.instruments] == [
        ("INDEX_OPT:NIFTY:2024-03-28:2200000:CE", 50),
        ("INDEX_FUT:BANKNIFTY:2024-03-27", 15),
    ]
    assert [(one.row_number, one.reason) for one in found.rejected] == [(3, "NO_LOT_SIZE")]
    assert found.skipped["FUTIVX of another market"] == 1


def udiff(
    kind: str, symbol: str, *, day: str = "2025-11-14", series: str = "", expiry: str = "", lot: str = "",
    strike: str = "", option_type: str = "", close: str = "100.00", source: str = "NSE",
) -> str:  # fmt: skip
    segment = "CM" if kind == "STK" else "FO"
    return (
        f"{day},{day},{segment},{source},{kind},4711,INE0,{symbol},{series},{expiry},{expiry},{strike},"
        f"{option_type},{symbol},1,1,1,{close},1,1,,,,,1,1,1,F1,{lot},,,,,"
    )


def test_the_unified_layout_of_derivatives_carries_its_lots_and_ids(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        UDIFF,
        udiff("IDF", "NIFTY", expiry="2026-01-27", lot="65", close="25900.10"),
        udiff("IDO", "NIFTY", expiry="2025-11-18", lot="75", strike="25000", option_type="PE", close="0"),
        udiff("STO", "TCS", expiry="2025-11-25", lot="175", strike="3000.50", option_type="CE"),
        udiff("IDO", "SENSEX", expiry="2025-11-20", lot="20", strike="84000", option_type="CE", source="BSE"),
    )
    assert (found.layout, found.source, found.day) == ("udiff", "nse_fo_bhavcopy", DAY)
    shown = [(one.instrument_key, one.exchange_segment, one.lot_size) for one in found.instruments]
    assert shown == [
        ("INDEX_FUT:NIFTY:2026-01-27", "NSE_FNO", 65),
        ("INDEX_OPT:NIFTY:2025-11-18:2500000:PE", "NSE_FNO", 75),
        ("STOCK_OPT:TCS:2025-11-25:300050:CE", "NSE_FNO", 175),
        ("INDEX_OPT:SENSEX:2025-11-20:8400000:CE", "BSE_FNO", 20),
    ]
    assert {one.security_id for one in found.instruments} == {"4711"}
    assert [one.tick_paise for one in found.instruments] == [10, 5, 5, 5]


@pytest.mark.parametrize("lot", ["many", "-75", "7_5", "75.5"])
def test_a_lot_that_is_written_and_unreadable_is_not_taken_from_a_table(tmp_path: Path, lot: str) -> None:
    rows = [udiff("IDF", "NIFTY", expiry="2026-01-27", lot=one) for one in (lot, "")]
    found = read(tmp_path, UDIFF, *rows)
    assert [one.lot_size for one in found.instruments] == [65]
    assert [(one.row_number, one.reason) for one in found.rejected] == [(1, "BAD_LOT")]


def test_the_unified_layout_of_shares(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        UDIFF,
        udiff("STK", "TCS", series="EQ", close="3100.5"),
        udiff("STK", "GOLDBOND", series="GB"),
        udiff("STK", "ABB", series="A", source="BSE"),
    )
    assert (found.source, [one.underlying for one in found.instruments]) == ("nse_equity_bhavcopy", ["TCS"])
    assert found.skipped == {"security other than shares and ETFs": 1, "STK of another market": 1}


def test_shares_with_their_series_and_tick_band(tmp_path: Path) -> None:
    rows = (
        "20MICRONS, EQ, 14-Nov-2025,196,1,1,1,1, 203.96,1,1,1,1, -, -",
        "360ONE, BE, 14-Nov-2025,1180,1,1,1,1, 1203.00,1,1,1,1, 1, 52.35",
        "360ONE, EQ, 14-Nov-2025,1180,1,1,1,1, 1203.00,1,1,1,1, 1, 52.35",
        "GOVBOND, GS, 14-Nov-2025,100,1,1,1,1, 100.00,1,1,1,1, 1, 1.0",
        "NOCLOSE, EQ, 14-Nov-2025,100,1,1,1,1, -,1,1,1,1, 1, 1.0",
        "NODAY, EQ, yesterday,100,1,1,1,1, 100,1,1,1,1, 1, 1.0",
    )
    found = read(tmp_path, DELIVERY, *rows)
    shown = [(one.underlying, one.series, one.tick_paise, one.valid_to) for one in found.instruments]
    assert shown == [("20MICRONS", "EQ", 1, OPEN_END), ("360ONE", "EQ", 10, OPEN_END)]
    assert (found.layout, found.day, found.coverage) == ("equity_delivery", DAY, Coverage.TRADED)
    assert [(one.row_number, one.reason) for one in found.rejected] == [(5, "BAD_PRICE"), (6, "BAD_DAY")]
    assert found.rows_read == found.rows_taken + sum(found.skipped.values()) == 6


def test_a_bhavcopy_of_two_days_or_of_another_day_is_refused(tmp_path: Path) -> None:
    rows = [f"{name}, EQ, {day}-Nov-2025,1,1,1,1,1,1,1,1,1,1,1,1" for name, day in (("A", 13), ("B", 14))]
    with pytest.raises(SchemaFault, match="one day"):
        read(tmp_path, DELIVERY, *rows)
    with pytest.raises(SchemaFault, match="2025-11-14"):
        read(tmp_path, DELIVERY, rows[0], day=DAY)


# --------------------------------------------------------------------------------------------- lot tables

TABLE = "UNDERLYING                          ,SYMBOL    ,NOV-22     ,DEC-22     ,JUN-23     "


def test_a_lot_table_with_its_heading_in_the_middle(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        TABLE,
        "NIFTY 50                            ,NIFTY     ,50         ,50         ,50         ",
        "Derivatives on Individual Securities,Symbol    ,NOV-22     ,DEC-22     ,           ",
        "NMDC LTD.                           ,NMDC      ,3350       ,4500       ,           ",
        "AMARA RAJA                          ,AMARAJABAT,1000       ,           ,           ",
    )
    assert (found.layout, found.source, found.day) == ("lot_table", "nse_lot_table", date(2022, 11, 1))
    shown = [(lot.underlying, lot.expiry_month.month, lot.lot_size) for lot in found.lots]
    assert shown == [
        ("NIFTY", 11, 50), ("NIFTY", 12, 50), ("NIFTY", 6, 50), ("NMDC", 11, 3350), ("NMDC", 12, 4500),
        ("AMARAJABAT", 11, 1000),
    ]  # fmt: skip
    assert (found.rows_read, found.rows_taken, found.skipped) == (4, 3, {"heading": 1})


@pytest.mark.parametrize("cell", ["0", "-5", "NaN", "1e400", "12.5", "many", "99999999999"])
def test_a_row_with_an_unreadable_lot_is_rejected_whole(tmp_path: Path, cell: str) -> None:
    found = read(tmp_path, TABLE, "NIFTY 50,NIFTY,50,50,50", f"X LTD,X,100,{cell},", "Y LTD,,1,1,1", "Z,Z,,,")
    assert {lot.underlying for lot in found.lots} == {"NIFTY"}
    assert [(one.row_number, one.reason) for one in found.rejected] == [
        (2, "BAD_LOT"), (3, "NO_SYMBOL"), (4, "BAD_LOT"),
    ]  # fmt: skip


def test_a_lot_table_is_of_its_first_month(tmp_path: Path) -> None:
    row = "NIFTY 50,NIFTY,50,50,50"
    assert read(tmp_path, TABLE, row, day=date(2022, 10, 28)).day == date(2022, 10, 28)
    with pytest.raises(SchemaFault, match="November 2022"):
        read(tmp_path, TABLE, row, day=date(2022, 12, 1))


def test_layouts_are_told_by_their_columns(tmp_path: Path) -> None:
    layouts = {
        "fo_futures": FUTURES, "fo_options": OPTIONS, "fo_classic": CLASSIC, "udiff": UDIFF,
        "equity_delivery": DELIVERY, "lot_table": TABLE,
        "equity_classic": "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,X,",
    }  # fmt: skip
    for layout, header in layouts.items():
        path = tmp_path / f"{layout}.csv"
        path.write_text(header + "\n", encoding="utf-8")
        assert recognise(path) == layout
    (tmp_path / "other.csv").write_text("UNDERLYING,SYMBOL,PRICE\n", encoding="utf-8")
    assert recognise(tmp_path / "other.csv") is None
    assert recognise(tmp_path / "absent.csv") is None
