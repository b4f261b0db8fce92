"""The command instruments as a person calls it."""

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from cli.main import main
from cli.output import EXIT_BAD_INPUT, EXIT_OK

pytestmark = pytest.mark.integration
MASTER = (
    "exchangeSegment,securityId,instrument,tradingSymbol,customSymbol,expiryDate,strikePrice,optionType\n"
)


@pytest.fixture
def folder(tmp_path: Path, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROPDESK_POSTGRES_URL", pg_url)
    monkeypatch.setenv("PROPDESK_HOME", str(tmp_path / "home"))
    engine = sqlalchemy.create_engine(pg_url)
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text(
                "TRUNCATE ref.instruments, ref.instrument_files, ref.instrument_rejects, ref.contract_lots"
            )
        )
    engine.dispose()
    return tmp_path


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def call(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main([*words, "--json"]) == EXIT_OK
    return json.loads(capsys.readouterr().out)


def test_a_master_is_loaded_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (
        "NSE_EQ,2885,EQUITY,RELIANCE,Reliance,,,\n"
        "NSE_FNO,1,FUTIDX,NIFTY-Jan2025-FUT,NIFTY JAN FUT,30-01-2025 14:30,,\n"
        "NSE_FNO,2,FUTIDX,NIFTY-Feb2025-FUT,NIFTY FEB FUT,some day,,\n"
    )
    words = ("instruments", "load", write(folder, "m.csv", MASTER + rows), "--day", "2025-01-02")
    (first,) = call(capsys, *words)["files"]
    assert (first["count_read"], first["count_taken"], first["count_rejected"]) == (3, 2, 1)
    (again,) = call(capsys, *words)["files"]
    assert (again["file_id"], again["count_added"], again["count_unchanged"]) == (first["file_id"], 0, 2)
    (reject,) = call(capsys, "instruments", "rejected", first["file_id"])["rows"]
    assert (reject["row_number"], reject["reason"]) == (3, "BAD_CONTRACT")
    assert reject["content"]["expiryDate"] == "some day"
    assert [one["source"] for one in call(capsys, "instruments", "files")["files"]] == ["dhan_reduced"]
    assert main(["instruments", "files"]) == EXIT_OK
    assert main(["instruments", "rejected"]) == EXIT_OK
    assert main(list(words)) == EXIT_OK


def test_lot_tables_go_in_first_whatever_the_order_of_the_words(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classic = (
        "INSTRUMENT,SYMBOL,EXPIRY_DT,STRIKE_PR,OPTION_TYP,OPEN,HIGH,LOW,CLOSE,SETTLE_PR,CONTRACTS,VAL_INLAKH,"
        "OPEN_INT,CHG_IN_OI,TIMESTAMP,\nFUTSTK,TCS,24-Nov-2022,0,XX,1,1,1,3300,1,9,1,1,1,04-NOV-2022,\n"
    )
    bhavcopy = write(folder, "bhavcopy.csv", classic)
    table = write(folder, "lots.csv", "UNDERLYING,SYMBOL,NOV-22,DEC-22\nTATA CONSULTANCY,TCS,150,150\n")
    loaded = call(capsys, "instruments", "load", bhavcopy, table)["files"]
    assert [(one["layout"], one["count_rejected"]) for one in loaded] == [("lot_table", 0), ("fo_classic", 0)]
    shown = call(capsys, "instruments", "show", "tcs", "--day", "2022-11-10")
    assert shown["symbol"] == "TCS"
    (future,) = shown["listed"]
    assert (future["category"], future["expiry"], future["lot_size"]) == ("STOCK_FUT", "2022-11-24", 150)
    assert call(capsys, "instruments", "show", "TCS", "--day", "2022-11-25")["listed"] == []


def test_show_tells_the_most_lots_of_one_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = "NSE_FNO,1,FUTIDX,NIFTY-Jan2026-FUT,NIFTY JAN FUT,27-01-2026 14:30,,\n"
    call(capsys, "instruments", "load", write(folder, "m.csv", MASTER + row), "--day", "2026-01-05")
    (future,) = call(capsys, "instruments", "show", "Nifty 50", "--day", "2026-01-06")["listed"]
    assert (future["lot_size"], future["freeze_quantity"], future["lots_per_order"]) == (65, 1800, 27)
    assert main(["instruments", "show", "Nifty 50", "--day", "2026-01-06"]) == EXIT_OK


def test_expiries_are_those_listed_with_the_holiday_that_moved_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(
        f"NSE_FNO,{number},FUTIDX,NIFTY-{month}-FUT,x,{day} 14:30,,\n"
        for number, (month, day) in enumerate([("Aug2025", "2025-08-28"), ("Mar2026", "2026-03-31")])
    )
    call(capsys, "instruments", "load", write(folder, "m.csv", MASTER + rows), "--day", "2025-08-26")
    words = ("instruments", "expiries", "nifty 50", "2025-08-01", "2026-04-30")
    august, march = call(capsys, *words)["expiries"]
    assert (august["day"], august["weekday"], august["kind"]) == ("2025-08-28", "Thursday", "monthly")
    assert (august["trades_until"], august["remark"]) == ("15:30", None)
    assert (march["trades_until"], march["remark"]) == (
        None,
        "holiday since announced: expires on 2026-03-30",
    )
    assert main(list(words)) == EXIT_OK


def test_expiries_follow_a_rename_within_the_range(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contracts = [("2024-12-02", "GMRINFRA", "2024-12-05"), ("2024-12-12", "GMRAIRPORT", "2024-12-26")]
    for day, name, expiry in contracts:
        lots = write(folder, "lots.csv", f"UNDERLYING,SYMBOL,DEC-24\nGMR AIRPORTS,{name},5625\n")
        row = f"NSE_FNO,1,FUTSTK,{name}-Dec2024-FUT,x,{expiry} 14:30,,\n"
        call(capsys, "instruments", "load", lots, write(folder, "m.csv", MASTER + row), "--day", day)
    found = call(capsys, "instruments", "expiries", "GMRINFRA", "2024-12-01", "2024-12-31")
    assert found["symbol"] == "GMRAIRPORT"
    assert [one["day"] for one in found["expiries"]] == ["2024-12-05", "2024-12-26"]


def test_a_bhavcopy_takes_no_name_that_outranks_a_master(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(folder, "shares.csv", "SYMBOL,SERIES,DATE1,CLOSE_PRICE\nTCS,EQ,02-Jan-2025,100\n")
    assert main(["instruments", "load", path, "--source", "zerodha"]) == EXIT_BAD_INPUT
    assert "shares.csv is a bhavcopy and counts as nse_equity_bhavcopy" in capsys.readouterr().err
    assert call(capsys, "instruments", "files")["files"] == []
    (taken,) = call(capsys, "instruments", "load", path, "--source", "nse_equity_bhavcopy")["files"]
    assert taken["source"] == "nse_equity_bhavcopy"


def test_a_file_that_is_none_of_ours_is_refused(folder: Path) -> None:
    assert main(["instruments", "load", write(folder, "x.csv", "a,b\n1,2\n")]) == EXIT_BAD_INPUT
    assert main(["instruments", "load", str(folder / "absent.csv")]) == EXIT_BAD_INPUT
