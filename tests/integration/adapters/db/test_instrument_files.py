"""Instrument files in the database: history per source, nothing rewritten, everything on record."""

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from adapters.db.engine import begin, create_engine
from adapters.db.repos.instrument_files import (
    LOT_TABLE_DAYS,
    FileRecord,
    list_files,
    list_rejects,
    load_file,
    read_lot_table,
)
from adapters.db.repos.instruments import read_instruments
from adapters.instruments import read_instrument_file
from propdesk.core.errors import SchemaFault
from propdesk.intake import InstrumentLookup

pytestmark = pytest.mark.integration
NOW = datetime(2025, 6, 1, tzinfo=UTC)
OLD, DAY, LATER = date(2025, 1, 1), date(2025, 1, 2), date(2025, 1, 6)
MASTER = "exchangeSegment,securityId,instrument,tradingSymbol,expiryDate,strikePrice,optionType\n"
DELIVERY = "SYMBOL,SERIES,DATE1,CLOSE_PRICE\n"
SHARED = Path(__file__).resolve().parents[4] / ".." / "shared" / "data"


@pytest.fixture
def engine(pg_url: str) -> Iterator[Engine]:
    engine = create_engine(pg_url, "test")
    with begin(engine) as connection:
        connection.execute(
            "TRUNCATE ref.instruments, ref.instrument_files, ref.instrument_rejects,"
            " ref.instrument_revisions, ref.contract_lots"
        )
    yield engine
    engine.dispose()


class Desk:
    """Writes files and loads them."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder

    def master(self, day: date, *rows: str, revise: str | None = None) -> FileRecord:
        """Load a master: rows of ``symbol:security id``, or whole rows."""
        lines = [
            row if "," in row else f"NSE_EQ,{row.split(':')[1]},EQUITY,{row.split(':')[0]},,," for row in rows
        ]
        return self.load("master.csv", MASTER + "\n".join(lines), day, revise)

    def shares(self, day: date, *rows: str) -> FileRecord:
        """Load a bhavcopy of shares: rows of ``symbol:series``."""
        lines = [f"{row.replace(':', ',')},{day:%d-%b-%Y},100" for row in rows]
        return self.load("shares.csv", DELIVERY + "\n".join(lines), None, None)

    def lots(self, *rows: str) -> FileRecord:
        """Load a lot table; the first row is the header behind UNDERLYING and SYMBOL."""
        head, *body = rows
        lines = "\n".join(f"{row.split(',')[0]} LTD,{row}" for row in body)
        return self.load("lots.csv", f"UNDERLYING,SYMBOL,{head}\n{lines}", None, None)

    def load(self, name: str, text: str, day: date | None, revise: str | None) -> FileRecord:
        path = self.folder / name
        path.write_text(text + "\n", encoding="utf-8")

        def table(when: date) -> dict[tuple[str, date], int]:
            with begin(self.engine) as connection:
                return read_lot_table(connection, when)

        file = read_instrument_file(path, day, lot_table_on=table)
        return load_file(self.engine, file, file_name=name, loaded_at=NOW, revision_reason=revise)

    def spans(self, symbol: str) -> list[tuple[str, date, date]]:
        """Security id or series, and validity, of a symbol over all days."""
        rows = self.query(
            "SELECT CASE WHEN security_id = '' THEN series ELSE security_id END, valid_from, valid_to"
            " FROM ref.instruments WHERE underlying = %s ORDER BY valid_from",
            symbol,
        )
        return [tuple(row) for row in rows]

    def query(self, text: str, *values: object) -> list[Any]:
        with begin(self.engine) as connection:
            return connection.execute(text, values).fetchall()


@pytest.fixture
def desk(engine: Engine, tmp_path: Path) -> Desk:
    return Desk(engine, tmp_path)


FAR = date(9999, 12, 31)


def test_masters_of_several_days_become_history(desk: Desk) -> None:
    first = desk.master(OLD, "X:1", "Y:2")
    assert (first.count_added, first.count_closed, first.count_unchanged) == (2, 0, 0)
    second = desk.master(LATER, "X:10", "Z:3")
    assert (second.count_added, second.count_closed, second.count_unchanged) == (2, 2, 0)
    eve = LATER - timedelta(days=1)
    assert desk.spans("X") == [("1", OLD, eve), ("10", LATER, FAR)]
    assert desk.spans("Y") == [("2", OLD, eve)]
    assert desk.spans("Z") == [("3", LATER, FAR)]


def test_a_master_without_news_writes_no_row(desk: Desk) -> None:
    desk.master(OLD, "X:1", "Y:2")
    before = desk.query("SELECT instrument_key, xmin::text FROM ref.instruments ORDER BY 1")
    again = desk.master(LATER, "X:1", "Y:2")
    assert (again.count_added, again.count_closed, again.count_unchanged) == (0, 0, 2)
    assert desk.query("SELECT instrument_key, xmin::text FROM ref.instruments ORDER BY 1") == before


def test_a_day_in_between_loaded_last_gives_the_same_history(desk: Desk) -> None:
    for day in (LATER, OLD, DAY):
        desk.master(day, "X:1", *(["Y:2"] if day != DAY else []))
    assert desk.spans("X") == [("1", OLD, FAR)]
    assert desk.spans("Y") == [("2", OLD, OLD), ("2", LATER, FAR)]


def test_a_file_of_shares_alone_ends_no_contract(desk: Desk) -> None:
    future = "NSE_FNO,7,FUTIDX,NIFTY-Jan2025-FUT,30-01-2025 14:30,,"
    desk.master(OLD, "X:1", future)
    desk.master(LATER, "X:1")
    assert desk.spans("NIFTY") == [("7", OLD, date(2025, 1, 30))]


def test_a_second_file_of_a_day_adds_but_rewrites_nothing(desk: Desk) -> None:
    desk.master(DAY, "X:1")
    record = desk.master(DAY, "X:9", "NEW:2")
    assert desk.spans("X") == [("1", DAY, FAR)]
    assert desk.spans("NEW") == [("2", DAY, FAR)]
    assert (record.count_read, record.count_taken, record.count_rejected) == (2, 1, 1)
    with begin(desk.engine) as connection:
        ((name, reject),) = list_rejects(connection, record.file_id)
    assert (name, reject.row_number, reject.reason) == ("master.csv", 1, "CONTRADICTION")
    assert "security_id 1 -> 9" in reject.message


def test_a_correction_replaces_its_day_and_keeps_what_was_there(desk: Desk) -> None:
    desk.master(OLD, "X:1", "GONE:5")
    desk.master(DAY, "X:1", "GONE:5")
    desk.master(LATER, "X:1", "GONE:5")
    record = desk.master(DAY, "X:9", revise="the broker sent a wrong file")
    assert desk.spans("X") == [("1", OLD, OLD), ("9", DAY, LATER - timedelta(days=1)), ("1", LATER, FAR)]
    assert desk.spans("GONE") == [("5", OLD, OLD), ("5", LATER, FAR)]
    rows = desk.query(
        "SELECT instrument_key, before ->> 'security_id', after ->> 'security_id'"
        " FROM ref.instrument_revisions WHERE file_id = %s ORDER BY 1",
        record.file_id,
    )
    assert [tuple(row) for row in rows] == [("NSE_EQ:GONE", "5", None), ("NSE_EQ:X", "1", "9")]
    assert record.revision_reason == "the broker sent a wrong file"
    again = desk.master(DAY, "X:9")
    assert (again.file_id, again.count_added, again.count_closed) == (record.file_id, 0, 0)
    with begin(desk.engine) as connection:
        reasons = [one.revision_reason for one in list_files(connection, "dhan_reduced") if one.day == DAY]
    assert sorted(reasons, key=str) == [None, "the broker sent a wrong file"]


def test_the_same_file_again_changes_nothing_and_is_listed_once(desk: Desk) -> None:
    first = desk.master(DAY, "X:1", "bad,7,FUTIDX,NIFTY-Jan2025-FUT,never,,", "Y:2")
    again = desk.master(DAY, "X:1", "bad,7,FUTIDX,NIFTY-Jan2025-FUT,never,,", "Y:2")
    assert (again.file_id, again.count_added, again.count_unchanged) == (first.file_id, 0, 2)
    with begin(desk.engine) as connection:
        assert len(list_files(connection)) == 1


def test_shares_that_did_not_trade_come_back_and_series_change_by_date(desk: Desk) -> None:
    for day, rows in ((OLD, ["X:EQ", "Q:EQ"]), (DAY, ["Q:BE"]), (LATER, ["X:EQ", "Q:BE"])):
        desk.shares(day, *rows)
    assert desk.spans("X") == [("EQ", OLD, FAR)]
    assert desk.spans("Q") == [("EQ", OLD, OLD), ("BE", DAY, FAR)]
    desk.shares(date(2025, 1, 7), "Q:BE")
    assert desk.spans("X") == [("EQ", OLD, LATER)]


@pytest.mark.parametrize("order", list(itertools.permutations((1, 3, 6, 8))))
def test_bhavcopies_give_the_same_history_in_any_order(desk: Desk, order: tuple[int, ...]) -> None:
    files = {1: ["X:EQ", "Q:EQ"], 3: ["X:BE", "Q:EQ"], 6: ["Q:EQ"], 8: ["X:EQ", "Q:EQ"]}
    for number in order:
        desk.shares(date(2025, 1, number), *files[number])
    assert desk.spans("X") == [
        ("EQ", date(2025, 1, 1), date(2025, 1, 2)),
        ("BE", date(2025, 1, 3), date(2025, 1, 7)),
        ("EQ", date(2025, 1, 8), FAR),
    ]
    assert desk.spans("Q") == [("EQ", date(2025, 1, 1), FAR)]


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 4))))
def test_a_share_missing_on_the_very_next_day_holds_until_another_value(
    desk: Desk, order: tuple[int, ...]
) -> None:
    files = {1: ["X:EQ"], 2: ["Q:EQ"], 4: ["X:BE"]}
    for number in order:
        desk.shares(date(2025, 1, number), *files[number])
    assert desk.spans("X") == [
        ("EQ", date(2025, 1, 1), date(2025, 1, 3)),
        ("BE", date(2025, 1, 4), FAR),
    ]


def test_lot_tables_hold_for_their_contracts_and_not_for_ever(desk: Desk) -> None:
    desk.lots("JAN-25,FEB-25", "TCS,175,175", "INFY,400,")
    desk.lots("FEB-25,MAR-25", "TCS,175,200")
    january, february = date(2025, 1, 1), date(2025, 2, 1)
    with begin(desk.engine) as connection:
        assert read_lot_table(connection, date(2024, 12, 31)) == {}
        assert read_lot_table(connection, date(2025, 1, 31)) == {
            ("TCS", january): 175, ("TCS", february): 175, ("INFY", january): 400,
        }  # fmt: skip
        assert read_lot_table(connection, february) == {
            ("TCS", february): 175, ("TCS", date(2025, 3, 1)): 200,
        }  # fmt: skip
        last = february + timedelta(days=LOT_TABLE_DAYS)
        assert read_lot_table(connection, last)
        assert read_lot_table(connection, last + timedelta(days=1)) == {}


def test_a_lot_table_tells_which_shares_have_derivatives(desk: Desk) -> None:
    desk.shares(date(2025, 1, 1), "TCS:EQ", "OTHER:EQ")
    desk.lots("FEB-25,MAR-25", "TCS,175,175")
    for day, expected in ((date(2025, 1, 31), False), (date(2025, 2, 3), True)):
        with begin(desk.engine) as connection:
            lookup = InstrumentLookup(read_instruments(connection, day, day))
        assert lookup.has_derivatives("TCS", day) is expected
        assert not lookup.has_derivatives("OTHER", day)


def test_contracts_without_a_lot_wait_until_the_table_is_there(desk: Desk) -> None:
    future = "NSE_FNO,7,FUTSTK,TCS-Jan2025-FUT,30-01-2025 14:30,,"
    assert desk.master(DAY, "X:1", future).count_rejected == 1
    desk.lots("JAN-25,FEB-25", "TCS,175,175")
    again = desk.master(DAY, "X:1", future)
    assert (again.count_rejected, again.count_added) == (0, 1)
    assert desk.spans("TCS") == [("7", DAY, date(2025, 1, 30))]


def test_a_file_that_cannot_be_read_leaves_nothing_behind(desk: Desk) -> None:
    with pytest.raises(SchemaFault):
        desk.load("bad.csv", MASTER + "BSE_EQ,1,EQUITY,X,,,", DAY, None)
    assert desk.query("SELECT 1 FROM ref.instrument_files") == []
    assert desk.query("SELECT 1 FROM ref.instruments") == []


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data folder is not beside this clone")
def test_every_real_file_goes_in_and_again_without_a_change(desk: Desk) -> None:
    """Both masters, lot tables, futures and options of a day, four days of shares; then all once more."""
    masters = {
        "dhan_derived_fno_2025-09.csv.gz": date(2025, 8, 26),
        "dhan_compact_equity_index_2026-06.csv.gz": date(2026, 6, 1),
    }
    paths = [
        *sorted((SHARED / "nse_lot_sizes").glob("*.gz")),
        *sorted((SHARED / "nse_fo_bhavcopy").glob("*.gz")),
        *sorted((SHARED / "nse_equity_daily").glob("raw_bhavcopy_*.gz")),
        *sorted((SHARED / "dhan_scrip_master").glob("*.gz")),
    ]
    assert len(paths) == 11
    for attempt in range(2):
        for path in paths:
            file = read_instrument_file(path, masters.get(path.name))
            record = load_file(desk.engine, file, file_name=path.name, loaded_at=NOW)
            assert record.count_rejected == 0
            assert record.count_read == record.count_taken + sum(record.skipped.values())
            if attempt:
                assert (record.count_added, record.count_closed) == (0, 0)
    day = date(2025, 11, 14)
    with begin(desk.engine) as connection:
        listed = InstrumentLookup(read_instruments(connection, day, day))
        files = list_files(connection)
    assert len(files) == 11
    assert sum(one.count_read for one in files) == 65_970
    lots = {one.expiry: one.lot_size for one in listed.listed(day) if one.underlying == "NIFTY"}
    # The half-yearly contract kept 75 until 30 December: only what traded shows it, and it outweighs the
    # extract of the master, which lists the contract too and carries no lot.
    assert (lots[date(2026, 1, 27)], lots[date(2026, 6, 30)]) == (65, 75)
    # RELIANCE was last seen in March 2024 and again in August 2026: it traded in between.
    assert listed.has_derivatives("RELIANCE", day)
