"""The broker's master in its layouts."""

import gzip
import tracemalloc
import zipfile
from datetime import date
from pathlib import Path

import pytest

from adapters.instruments import OPEN_END, read_instrument_file, recognise
from propdesk.core.errors import SchemaFault
from propdesk.model.enums import OptionType

DAY = date(2025, 1, 2)
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
    found = read_instrument_file(master(tmp_path, name=name), DAY)
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
    assert (contract.lot_size, contract.freeze_quantity, contract.exchange_segment) == (30, 0, "NSE_FNO")
    assert (contract.option_type, contract.valid_to) == (OptionType.PE, date(2025, 1, 30))
    assert sum(found.skipped.values()) == 5
    assert (found.rows_read, found.rows_taken) == (9, 4)
    # Row 6 carries no expiry: it should have been a contract, so it is kept whole.
    (wrong,) = found.rejected
    assert (wrong.row_number, wrong.reason) == (6, "BAD_CONTRACT")
    assert wrong.content["SEM_TRADING_SYMBOL"] == "NIFTY-Jan2025-24000-CE"


def test_rows_with_their_own_validity(tmp_path: Path) -> None:
    rows = (
        ROWS[0] + ",2024-01-01,2024-06-30,",
        ROWS[0].replace(",10,", ",5,") + ",2024-07-01,,",
        ROWS[3] + ",2024-11-01,2025-01-30,40000",
        ROWS[1] + ",2024-07-01,2024-01-01,",
    )
    found = read_instrument_file(
        master(tmp_path, COMPACT + ",valid_from,valid_to,freeze_quantity", rows), DAY
    )
    assert found.is_dated
    ticks = [(one.tick_paise, one.valid_from, one.valid_to) for one in found.instruments if not one.expiry]
    assert ticks == [(10, date(2024, 1, 1), date(2024, 6, 30)), (5, date(2024, 7, 1), OPEN_END)]
    assert [one.freeze_quantity for one in found.instruments if one.expiry] == [40_000]
    assert found.skipped["unreadable validity"] == 1


def test_the_detailed_layout(tmp_path: Path) -> None:
    """As the broker writes it: NA for nothing, a comma at each end, companies named beside their symbols."""
    header = (
        "EXCH_ID,SEGMENT,SECURITY_ID,ISIN,INSTRUMENT,UNDERLYING_SECURITY_ID,UNDERLYING_SYMBOL,SYMBOL_NAME,"
        "DISPLAY_NAME,INSTRUMENT_TYPE,SERIES,LOT_SIZE,SM_EXPIRY_DATE,STRIKE_PRICE,OPTION_TYPE,TICK_SIZE,"
        "EXPIRY_FLAG,MTF_LEVERAGE,SM_FREEZE_QTY,"
    )
    rows = (
        "NSE,E,11536,INE467B01029,EQUITY,,TCS,TATA CONSULTANCY,TCS,ES,EQ,1.0,,,,10.0000,NA,4,0,",
        "NSE,E,19257,INE0DEB01011,EQUITY,,TCS,TATA CONSULTANCY,TCS 7% NCD,ES,D1,1.0,,,,5.0000,NA,0,0,",
        "NSE,E,19258,INE0DEB01012,EQUITY,,ONLYDEBT,ONLY DEBT LTD,OD 9% NCD,ES,D1,1.0,,,,5.0000,NA,0,0,",
        "NSE,E,19259,INE0XXX01012,EQUITY,,NA,NAMELESS LTD,Nameless,ES,EQ,1.0,,,,5.0000,NA,0,0,",
        "NSE,I,13,NA,INDEX,13,NIFTY,NIFTY,Nifty 50,INDEX,NA,1.0,0001-01-01,,XX,0.0500,N,0,0,",
        "NSE,D,5,NA,OPTSTK,11536,TCS,TCS-Jan2025-4000-CE,TCS,OP,NA,175.0,2025-01-30,4000.0,CE,5.0,M,0,7001,",
        "NSE,D,6,NA,FUTSTK,11536,TCS,TCS-Jan2025-FUT,TCS JAN,FUT,NA,175.0,2025-01-30,-0.01,XX,10.0,M,0,7001,",
    )
    found = read_instrument_file(master(tmp_path, header, rows), DAY)
    assert found.layout == "detailed"
    by_key = {one.instrument_key: one for one in found.instruments}
    call, future = "STOCK_OPT:TCS:2025-01-30:400000:CE", "STOCK_FUT:TCS:2025-01-30"
    assert set(by_key) == {"NSE_EQ:TCS", call, future}
    share = by_key["NSE_EQ:TCS"]
    assert (share.security_id, share.series, share.tick_paise) == ("11536", "EQ", 10)
    assert (share.has_derivatives, share.freeze_quantity) == (True, 0)
    assert (by_key[call].lot_size, by_key[call].freeze_quantity, by_key[call].series) == (175, 7_000, "XX")
    assert (by_key[future].strike_paise, by_key[future].option_type) == (None, None)
    assert [(one.row_number, one.reason) for one in found.rejected] == [(4, "NO_SYMBOL")]
    assert found.skipped == {
        "security other than shares and ETFs": 2,
        "INDEX of another market": 1,
        "no symbol or id": 1,
    }


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [("a,b,c", ("1,2,3",), "known layouts"), (COMPACT, ROWS[6:7], "no instrument we trade")],
)
def test_what_is_no_master(tmp_path: Path, header: str, rows: tuple[str, ...], words: str) -> None:
    with pytest.raises(SchemaFault, match=words):
        read_instrument_file(master(tmp_path, header, rows), DAY)


def test_an_absent_or_broken_file(tmp_path: Path) -> None:
    with pytest.raises(SchemaFault, match="download it again"):
        read_instrument_file(tmp_path / "absent.csv", DAY)
    (tmp_path / "cut.csv.gz").write_bytes(master(tmp_path, name="m.csv.gz").read_bytes()[:-12])
    with pytest.raises(SchemaFault, match="download it again"):
        read_instrument_file(tmp_path / "cut.csv.gz", DAY)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_without_end_is_never_held(tmp_path: Path, end: str) -> None:
    path = tmp_path / "m.csv.gz"
    path.write_bytes(gzip.compress(f"{COMPACT}\n{ROWS[0]}\n".encode() + b"A" * 50_000_000 + end.encode()))
    tracemalloc.start()
    with pytest.raises(SchemaFault, match="longer than 100,000 characters"):
        read_instrument_file(path, DAY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_zip_of_one_file_is_read_and_one_of_two_is_refused(tmp_path: Path) -> None:
    plain = master(tmp_path)
    for count in (1, 2):
        path = tmp_path / f"{count}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(count):
                archive.write(plain, f"{number}.csv")
    assert len(read_instrument_file(tmp_path / "1.zip", DAY).instruments) == 4
    with pytest.raises(SchemaFault, match="holds 2 files"):
        read_instrument_file(tmp_path / "2.zip", DAY)
    (tmp_path / "cut.zip").write_bytes((tmp_path / "1.zip").read_bytes()[:-30])
    with pytest.raises(SchemaFault, match="download it again"):
        read_instrument_file(tmp_path / "cut.zip", DAY)


def damaged(path: Path, kind: str) -> Path:
    """Make an archive whose list of contents is whole and whose content cannot be read."""
    if kind == "gzip":
        content = bytearray(gzip.compress(f"{COMPACT}\n{ROWS[0]}\n".encode() * 100))
        content[20:60] = b"\xff" * 40
        path.write_bytes(content)
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA if kind == "lzma" else zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m.csv", f"{COMPACT}\n{ROWS[0]}\n" * 100)
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    if kind == "encrypted":
        content[6] |= 1
        content[directory + 8] |= 1
    elif kind == "unknown method":
        content[8] = content[directory + 10] = 96
    elif kind == "new version":
        content[directory + 6] = 99
    else:
        content[60:100] = b"\xff" * 40
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("gzip", "download it again"),
        ("deflated", "download it again"),
        ("lzma", "download it again"),
        ("encrypted", "unpack it"),
        ("unknown method", "unpack it"),
        ("new version", "unpack it"),
    ],
)
def test_a_damaged_or_locked_archive_is_refused_by_name(tmp_path: Path, kind: str, remedy: str) -> None:
    path = damaged(tmp_path / "master.csv.zip", kind)
    assert recognise(path) is None
    with pytest.raises(SchemaFault, match=rf"master\.csv\.zip .*{remedy}"):
        read_instrument_file(path, DAY)


DETAILED = (
    "EXCH_ID,SEGMENT,SECURITY_ID,INSTRUMENT,UNDERLYING_SYMBOL,SYMBOL_NAME,INSTRUMENT_TYPE,SERIES,LOT_SIZE,"
    "SM_EXPIRY_DATE,STRIKE_PRICE,OPTION_TYPE,TICK_SIZE"
)


def test_a_masters_freeze_field_is_the_first_quantity_refused(tmp_path: Path) -> None:
    rows = (
        "NSE,D,5,OPTIDX,NIFTY,NIFTY-Jan2026-25000-CE,OP,,65,2026-01-27,25000,CE,5,1756",
        "NSE,D,6,OPTIDX,NIFTY,NIFTY-Jan2026-25100-CE,OP,,65,2026-01-27,25100,CE,5,",
    )
    found = read_instrument_file(master(tmp_path, DETAILED + ",SM_FREEZE_QTY", rows), date(2026, 1, 5))
    # Without the field nothing is named: the exchange's table fills it in by the day of trading.
    assert [one.freeze_quantity for one in found.instruments] == [1755, 0]
    rows = (rows[0].replace(",1756", ",many"), rows[1])
    (wrong,) = read_instrument_file(master(tmp_path, DETAILED + ",SM_FREEZE_QTY", rows), DAY).rejected
    assert (wrong.row_number, wrong.reason) == (1, "BAD_FREEZE")
    assert "'many'" in wrong.message


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("NSE,D,5,OPTSTK,TCS,TCS-Jan2025-4000-CE,OP,,175,someday,4000,CE,5", "BAD_CONTRACT"),
        ("NSE,D,5,OPTSTK,TCS,TCS-Jan2025-4000-CE,OP,,175,2025-01-30,NaN,CE,5", "BAD_CONTRACT"),
        ("NSE,D,5,OPTSTK,TCS,TCS-Jan2025-4000-CE,OP,,175,2025-01-30,1e308,CE,5", "BAD_CONTRACT"),
        ("NSE,D,5,OPTSTK,TCS,TCS-Jan2025-4000-CE,OP,,175,2025-01-30,4000,XX,5", "BAD_CONTRACT"),
        ("NSE,D,5,OPTSTK,TCS,TCS-Jan2025-4000-CE,OP,,,2025-01-30,4000,CE,5", "NO_LOT_SIZE"),
        ("NSE,D,5,OPTSTK,TCS,TCS-Jan2025-4000-CE,OP,,1e99,2025-01-30,4000,CE,5", "BAD_LOT"),
        ("NSE,D,5,OPTIDX,NIFTY,NIFTY-Jan2025-24000-CE,OP,,7_5,2025-01-30,24000,CE,5", "BAD_LOT"),
        ("NSE,D,5,OPTIDX,NIFTY,NIFTY-Jan2025-24000-CE,OP,,٧٥,2025-01-30,24000,CE,5", "BAD_LOT"),
        ("NSE,D,5,OPTIDX,NIFTY,NIFTY-Jan2025-24000-CE,OP,,75,2025-01-30,2_4000,CE,5", "BAD_CONTRACT"),
        ("NSE,D,5,OPTIDX,NIFTY,NIFTY-Jan2025-24000-CE,OP,,75,2025-01-30,24000,CE,0.05", "BAD_TICK"),
        ("NSE,D,,OPTIDX,NIFTY,NIFTY-Jan2025-24000-CE,OP,,75,2025-01-30,24000,CE,5", "NO_SYMBOL"),
        ("NSE,E,1,EQUITY,T\0S,TCS,ES,EQ,1,,,,5", "BAD_TEXT"),
        ("NSE,E,1,EQUITY,TCS,TCS,ES,EQ,-1,,,,5", "BAD_LOT"),
        ("NSE,D,5,OPTSTK,TCS,TCS-Dec2024-4000-CE,OP,,175,2024-12-26,4000,CE,5", "PAST_EXPIRY"),
        ("NSE,E,,EQUITY,TCS,,ES,EQ,1,,,,5", "NO_SYMBOL"),
        ("NSE,E,1,EQUITY,,TATA CONSULTANCY,ES,EQ,1,,,,5", "NO_SYMBOL"),
        ("NSE,E,1,EQUITY", "RAGGED"),
        ("NSE,E,1,EQUITY,TCS,,ES,EQ,1,,,,5,more", "RAGGED"),
    ],
)
def test_wrong_rows_are_kept_with_their_reason(tmp_path: Path, row: str, reason: str) -> None:
    good = "NSE,E,2,EQUITY,INFY,INFOSYS LIMITED,ES,EQ,1,,,,5"
    found = read_instrument_file(master(tmp_path, DETAILED, (row, good)), DAY)
    assert [(one.row_number, one.reason) for one in found.rejected] == [(1, reason)]
    assert found.rejected[0].message
    assert (found.rows_read, found.rows_taken, sum(found.skipped.values())) == (2, 1, 1)


def test_a_lot_table_fills_in_what_the_master_lacks(tmp_path: Path) -> None:
    header = "exchangeSegment,securityId,instrument,tradingSymbol,expiryDate,strikePrice,optionType"
    rows = (
        "NSE_FNO,1,FUTSTK,TCS-Jan2025-FUT,30-01-2025 14:30,,",
        "NSE_FNO,2,FUTSTK,X-Jan2025-FUT,30-01-2025,,",
    )
    asked = []

    def table(day: date) -> dict[tuple[str, date], int]:
        asked.append(day)
        return {("TCS", date(2025, 1, 1)): 175}

    found = read_instrument_file(master(tmp_path, header, rows), DAY, lot_table_on=table)
    assert [(one.underlying, one.lot_size) for one in found.instruments] == [("TCS", 175)]
    assert [one.reason for one in found.rejected] == ["NO_LOT_SIZE"]
    assert asked == [DAY]


@pytest.mark.parametrize(
    ("header", "words"),
    [("", "is empty"), (COMPACT + ",SEM_SEGMENT", "twice"), (",".join(map(str, range(201))), "columns")],
)
def test_an_unusable_header(tmp_path: Path, header: str, words: str) -> None:
    with pytest.raises(SchemaFault, match=words):
        read_instrument_file(master(tmp_path, header, ()), DAY)


def test_a_master_needs_its_day(tmp_path: Path) -> None:
    with pytest.raises(SchemaFault, match="give --day"):
        read_instrument_file(master(tmp_path))
    assert read_instrument_file(master(tmp_path), today=DAY).day == DAY
