"""The scratch database: what was known then comes in, and it is gone afterwards whatever happens."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.db.engine import create_engine, psycopg_dsn
from adapters.db.repos.differences import Pair, Part, compare_rows
from adapters.db.repos.instrument_files import load_file
from adapters.db.repos.instruments import add_price_instruments, load_instruments
from adapters.db.scratch import ScratchInUse, copy_known, read_later_records, scratch_database, with_database
from adapters.instruments import read_instrument_file
from propdesk.core.errors import ConfigFault, InvariantViolated
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument

pytestmark = pytest.mark.integration
NOON = datetime(2025, 6, 2, 6, 30, tzinfo=UTC)
DAYS = [date(2025, 6, n) for n in (2, 3, 4, 5)]
FAR = date(9999, 12, 31)
ENDS = [datetime(2025, 6, n, 18, 30, tzinfo=UTC) for n in (2, 3, 4, 5)]
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def scratch(pg_role_urls: dict[str, str]) -> Iterator[psycopg.Connection[Any]]:
    with (
        scratch_database(pg_role_urls["owner"], pg_role_urls["pipeline"]) as name,
        psycopg.connect(psycopg_dsn(with_database(pg_role_urls["owner"], name))) as connection,
    ):
        yield connection
        connection.close()


@pytest.fixture
def desk(pg_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(psycopg_dsn(pg_url), autocommit=True) as connection:
        connection.execute("ALTER TABLE raw.signal_log DISABLE TRIGGER append_only")
        connection.execute(
            "TRUNCATE raw.uploads, raw.landed_rows, raw.signal_log, ref.instruments, ref.instrument_files,"
            " ref.contract_lots"
        )
        connection.execute("ALTER TABLE raw.signal_log ENABLE TRIGGER append_only")
        yield connection


def names(url: str) -> set[str]:
    with psycopg.connect(psycopg_dsn(url)) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


# ------------------------------------------------------------------------------------------- life and end


def test_it_is_of_the_newest_schema_and_dropped_at_the_end(pg_role_urls: dict[str, str]) -> None:
    owner, pipeline = pg_role_urls["owner"], pg_role_urls["pipeline"]
    with scratch_database(owner, pipeline) as name:
        assert name in names(owner)
        with psycopg.connect(psycopg_dsn(with_database(pipeline, name))) as connection:
            connection.execute("SELECT count(*) FROM research.trades")
    assert name not in names(owner)


def test_an_error_and_a_connection_left_open_do_not_keep_it(pg_role_urls: dict[str, str]) -> None:
    owner, pipeline = pg_role_urls["owner"], pg_role_urls["pipeline"]

    def interrupted() -> None:
        with scratch_database(owner, pipeline) as name:
            left.append(psycopg.connect(psycopg_dsn(with_database(pipeline, name))))
            raise KeyboardInterrupt

    left: list[psycopg.Connection[Any]] = []
    before = names(owner)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(owner) == before
    left[0].close()


def test_one_works_at_a_time_and_a_left_one_is_replaced(pg_role_urls: dict[str, str]) -> None:
    owner, pipeline = pg_role_urls["owner"], pg_role_urls["pipeline"]
    with (
        scratch_database(owner, pipeline) as name,
        pytest.raises(ScratchInUse, match="in use"),
        scratch_database(owner, pipeline),
    ):
        pass
    with psycopg.connect(psycopg_dsn(owner), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    with scratch_database(owner, pipeline) as again:
        assert again == name
        with psycopg.connect(psycopg_dsn(with_database(owner, name))) as connection:
            connection.execute("SELECT count(*) FROM research.trades")


def test_a_role_that_may_create_none_is_told_the_remedy(pg_role_urls: dict[str, str]) -> None:
    with (
        pytest.raises(ConfigFault, match="ALTER ROLE propdesk_reader CREATEDB"),
        scratch_database(pg_role_urls["reader"], pg_role_urls["pipeline"]),
    ):
        pass


# ------------------------------------------------------------------------------------------- what was known


def land(
    desk: psycopg.Connection[Any],
    record: str,
    revision: int,
    received: datetime,
    day: date,
    *,
    change: str,
    logged: datetime,
    chain: str = "file:sample",
    content: str = "{}",
) -> None:
    upload = f"{record}-{revision}"
    zero = bytes(32)
    desk.execute(
        "INSERT INTO raw.uploads VALUES (%s, 'f', %s, 'sample', 'csv', 'test', %s, 1, 1, 0, 0, 0, 0, NULL,"
        " NULL, 'ACCEPTED', NULL)",
        (upload, upload, logged),
    )
    desk.execute(
        "INSERT INTO raw.landed_rows VALUES (%s, 1, %s, %s, 'SIGNAL', %s, %s, %s, %s, %s)",
        (upload, day, record, revision, upload, received, received, content),
    )
    desk.execute(
        "INSERT INTO raw.signal_log VALUES (%s, (SELECT count(*) + 1 FROM raw.signal_log), %s, %s, 'SIGNAL',"
        " %s, %s, 'A1', 'x', NULL, %s, %s, %s, %s, %s)",
        (chain, logged, change, record, revision, received, received, upload, zero, zero),
    )


def heard(scratch: psycopg.Connection[Any]) -> set[tuple[str, int]]:
    return set(scratch.execute("SELECT record_id, revision FROM raw.landed_rows").fetchall())


def logged(scratch: psycopg.Connection[Any]) -> set[tuple[str, str]]:
    return set(scratch.execute("SELECT record_id, change FROM raw.signal_log").fetchall())


def bring(
    desk: psycopg.Connection[Any], scratch: psycopg.Connection[Any], place: int, *, corrections: bool = False
) -> date | None:
    span = (ENDS[place - 1] if place else BEGINNING, ENDS[place])
    return copy_known(desk, scratch, DAYS[place], span, with_corrections=corrections)


def test_words_come_in_when_they_were_known(
    desk: psycopg.Connection[Any], scratch: psycopg.Connection[Any]
) -> None:
    """A file's edit counts from its upload, a stamped one from its stamp, the inbox's from its clock."""
    later = NOON + timedelta(days=3)
    for record in ("file", "stamp", "inbox"):
        land(desk, record, 1, NOON, DAYS[0], change="POSTED", logged=later)
    land(desk, "file", 2, NOON, DAYS[0], change="EDITED", logged=NOON + timedelta(days=2))
    moment = NOON + timedelta(days=1)
    land(
        desk, "stamp", 2, moment, DAYS[1], change="EDITED", logged=later, content='{"edited_at": "x"}'
    )  # fmt: skip
    land(desk, "inbox", 2, moment, DAYS[1], change="EDITED", logged=later, chain="inbox:paper")
    land(desk, "evening", 1, ENDS[0] - timedelta(hours=2), DAYS[1], change="POSTED", logged=later)
    assert bring(desk, scratch, 0) == DAYS[0]
    assert heard(scratch) == {("file", 1), ("stamp", 1), ("inbox", 1), ("evening", 1)}
    assert logged(scratch) == set()
    revised, taken = read_later_records(desk, ENDS[0], with_corrections=False)
    assert (revised, taken) == (frozenset({"file", "stamp", "inbox"}), frozenset())
    assert bring(desk, scratch, 1) == DAYS[0]  # where the first wordings stood
    assert heard(scratch) >= {("stamp", 2), ("inbox", 2)}
    assert ("file", 2) not in heard(scratch)
    assert logged(scratch) == {("stamp", "EDITED"), ("inbox", "EDITED")}
    assert bring(desk, scratch, 2) == DAYS[0]
    assert ("file", 2) in heard(scratch)
    assert bring(desk, scratch, 3) is None
    assert read_later_records(desk, ENDS[2], with_corrections=False)[0] == frozenset()


def test_corrections_may_be_taken_as_known_from_the_first(
    desk: psycopg.Connection[Any], scratch: psycopg.Connection[Any]
) -> None:
    land(desk, "a", 1, NOON, DAYS[0], change="POSTED", logged=NOON)
    land(desk, "a", 2, NOON, DAYS[0], change="EDITED", logged=NOON + timedelta(days=2))
    bring(desk, scratch, 0, corrections=True)
    assert heard(scratch) == {("a", 1), ("a", 2)}
    assert read_later_records(desk, ENDS[0], with_corrections=True)[0] == frozenset()


def test_what_is_taken_back_later_is_not_known(
    desk: psycopg.Connection[Any], scratch: psycopg.Connection[Any]
) -> None:
    land(desk, "a", 1, NOON, DAYS[0], change="POSTED", logged=NOON)
    desk.execute(
        "INSERT INTO raw.signal_log SELECT chain, 99, %s, 'DELETED', kind, record_id, revision, advisor_id,"
        " origin, source_key, claimed_at, NULL, content_hash, previous_hash, hash FROM raw.signal_log",
        (NOON + timedelta(days=1),),
    )
    bring(desk, scratch, 0)
    assert logged(scratch) == set()
    assert read_later_records(desk, ENDS[0], with_corrections=False)[1] == frozenset({"a"})
    assert bring(desk, scratch, 1) == DAYS[0]
    assert logged(scratch) == {("a", "DELETED")}


def share(symbol: str, first: date, last: date = FAR) -> Instrument:
    return Instrument(
        f"NSE_EQ:{symbol}", Category.NSE_EQ, symbol, None, None, None, "NSE_EQ", "1", 1, 5, 0, "EQ", False,
        first, last,
    )  # fmt: skip


def test_instruments_are_those_of_the_files_until_then(
    pg_url: str, desk: psycopg.Connection[Any], scratch: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """ONCE misses a bhavcopy and comes back: until then it had ended."""
    engine = create_engine(pg_url, "test")
    for day, symbols in ((DAYS[0], "ONCE EVER"), (DAYS[1], "EVER"), (DAYS[2], "ONCE EVER LATE")):
        rows = "".join(f"{symbol},EQ,{day:%d-%b-%Y},100\n" for symbol in symbols.split())
        path = tmp_path / "shares.csv"
        path.write_text("SYMBOL,SERIES,DATE1,CLOSE_PRICE\n" + rows, encoding="utf-8")
        load_file(engine, read_instrument_file(path), file_name=path.name, loaded_at=NOON)
    load_instruments(engine, [share("DATED", DAYS[0], DAYS[3]), share("NEXT", DAYS[2])], "own")
    add_price_instruments(engine, [share("PRICED", DAYS[0], DAYS[3])])
    engine.dispose()

    def known(place: int) -> dict[str, tuple[date, date]]:
        bring(desk, scratch, place)
        found = scratch.execute("SELECT underlying, valid_from, valid_to FROM ref.instruments").fetchall()
        return {row[0]: row[1:] for row in found}

    always = {"EVER": (DAYS[0], FAR), "DATED": (DAYS[0], DAYS[3])}
    assert known(0) == {**always, "ONCE": (DAYS[0], FAR), "PRICED": (DAYS[0], DAYS[0])}
    assert known(1) == {**always, "ONCE": (DAYS[0], DAYS[0]), "PRICED": (DAYS[0], DAYS[1])}
    assert known(2) == {
        **always, "ONCE": (DAYS[0], FAR), "PRICED": (DAYS[0], DAYS[2]), "LATE": (DAYS[2], FAR),
        "NEXT": (DAYS[2], FAR),
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------- comparison


def test_rows_are_paired_by_key_and_a_key_must_name_one(
    desk: psycopg.Connection[Any], scratch: psycopg.Connection[Any]
) -> None:
    add = "INSERT INTO research.trade_marks VALUES (%s, %s, %s, %s, 0)"
    for connection, rows in (
        (scratch, [("a", 1), ("b", 1), ("c", 1)]),
        (desk, [("a", 1), ("b", 2), ("d", 1)]),
    ):
        connection.execute("TRUNCATE research.trade_marks")
        for name, close in rows:
            connection.execute(add, (DAYS[0], name, DAYS[0], close))
    connection.execute(add, (DAYS[1], "z", DAYS[1], 1))
    part = Part("research.trade_marks", ("trade_date", "trade_id", "mark_date"), "trade_date")
    count, pairs = compare_rows(scratch, desk, part, DAYS[0], DAYS[0])
    assert count == 4
    assert [pair.key.split()[1] for pair in pairs] == ["b", "c", "d"]
    first, second, third = pairs
    assert isinstance(first, Pair)
    assert [(side or {})["close_paise"] for side in (first.left, first.right)] == [1, 2]
    assert second.right is None
    assert third.left is None
    with pytest.raises(InvariantViolated, match="do not name one row"):
        compare_rows(scratch, desk, Part("research.trade_marks", ("trade_date",), None), DAYS[0], DAYS[0])
