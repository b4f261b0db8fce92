"""Frames survive the way into PostgreSQL and back."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from sqlalchemy import create_engine

from adapters.db.frames import copy
from adapters.db.frames.copy import append_frame, read_frame, replace_range
from propdesk.core.errors import InvariantViolated

pytestmark = pytest.mark.integration

DAY = date(2025, 1, 2)
NEXT = date(2025, 1, 3)
TABLE = "public.copy_sample"


@pytest.fixture
def connection(pg_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(pg_url.replace("+psycopg", "")) as raw:
        raw.execute(
            "CREATE TABLE copy_sample (day date, name text, amount_paise bigint, share double precision,"
            " is_on boolean, seen_at timestamptz, levels bigint[], codes text[], doc jsonb,"
            " PRIMARY KEY (day, name))"
        )
        yield raw
        raw.rollback()


def sample() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "day": [DAY, DAY, NEXT],
            "name": ['b,"x"\ny', "", "NA"],
            "amount_paise": pd.array([9_007_199_254_740_993, None, -5], dtype="Int64"),
            "share": [0.1 + 0.2, np.nan, np.inf],
            "is_on": pd.array([True, None, False], dtype="boolean"),
            "seen_at": pd.to_datetime(
                [datetime(2025, 1, 2, 3, 45, 0, 123456, tzinfo=UTC), None, datetime(2025, 1, 3, tzinfo=UTC)],
                utc=True,
            ),
            "levels": [[1, 2], [], None],
            "codes": [['a"b\\', "c,d", "{}"], ["NULL"], None],
            "doc": [{"b": [1, None], "a": "é"}, None, {}],
        }
    )


def test_every_type_comes_back_as_it_went(connection: psycopg.Connection) -> None:
    assert replace_range(connection, TABLE, sample(), partition_column="day", first=DAY, last=NEXT) == 3
    found = read_frame(connection, "SELECT * FROM copy_sample ORDER BY day, name")
    assert found["day"].tolist() == [DAY, DAY, NEXT]
    assert found["name"].tolist() == ["", 'b,"x"\ny', "NA"]
    assert found["amount_paise"].tolist() == [pd.NA, 9_007_199_254_740_993, -5]
    assert found["amount_paise"].dtype == "Int64"
    assert np.isnan(found["share"][0])
    assert found["share"][1] == 0.1 + 0.2
    assert found["share"][2] == np.inf
    assert found["is_on"].tolist() == [pd.NA, True, False]
    assert str(found["seen_at"].dtype) == "datetime64[ns, UTC]"
    assert found["seen_at"][1] == datetime(2025, 1, 2, 3, 45, 0, 123456, tzinfo=UTC)
    assert pd.isna(found["seen_at"][0])
    assert found["levels"].tolist() == [[], [1, 2], None]
    assert found["codes"].tolist() == [["NULL"], ['a"b\\', "c,d", "{}"], None]
    assert found["doc"].tolist() == [None, {"a": "é", "b": [1, None]}, {}]


def test_a_range_is_replaced_and_its_neighbours_stay(connection: psycopg.Connection) -> None:
    replace_range(connection, TABLE, sample(), partition_column="day", first=DAY, last=NEXT)
    only = sample().iloc[[0]].assign(name="new")
    assert replace_range(connection, TABLE, only, partition_column="day", first=DAY, last=DAY) == 1
    found = read_frame(connection, "SELECT name FROM copy_sample ORDER BY name")
    assert found["name"].tolist() == ["NA", "new"]


def test_an_empty_frame_empties_the_range_and_reads_back_typed(connection: psycopg.Connection) -> None:
    replace_range(connection, TABLE, sample(), partition_column="day", first=DAY, last=NEXT)
    assert (
        replace_range(connection, TABLE, sample().iloc[:0], partition_column="day", first=DAY, last=NEXT) == 0
    )
    found = read_frame(connection, "SELECT * FROM copy_sample")
    assert len(found) == 0
    assert found["amount_paise"].dtype == "int64"
    assert str(found["seen_at"].dtype) == "datetime64[ns, UTC]"


def test_a_row_outside_the_range_is_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(InvariantViolated, match="outside"):
        replace_range(connection, TABLE, sample(), partition_column="day", first=DAY, last=DAY)


def test_a_missing_column_is_named(connection: psycopg.Connection) -> None:
    with pytest.raises(InvariantViolated, match="no column codes, doc"):
        replace_range(
            connection,
            TABLE,
            sample().drop(columns=["codes", "doc"]),
            partition_column="day",
            first=DAY,
            last=NEXT,
        )


def test_whole_floats_fit_whole_columns_and_fractions_do_not(connection: psycopg.Connection) -> None:
    good = sample().assign(amount_paise=[5.0, np.nan, 7.0])
    replace_range(connection, TABLE, good, partition_column="day", first=DAY, last=NEXT)
    found = read_frame(connection, "SELECT amount_paise FROM copy_sample ORDER BY amount_paise")
    assert found["amount_paise"].tolist() == [5, 7, pd.NA]
    with pytest.raises((TypeError, ValueError)):
        replace_range(
            connection,
            TABLE,
            sample().assign(amount_paise=[0.5, 1.0, 1.0]),
            partition_column="day",
            first=DAY,
            last=NEXT,
        )


def test_categories_stand_for_their_values_in_the_order_of_the_key(connection: psycopg.Connection) -> None:
    frame = sample().assign(
        day=pd.Categorical([NEXT, DAY, NEXT], categories=[NEXT, DAY]),
        name=pd.Categorical(["b", "c", "a"], categories=["c", "b", "a"]),
        seen_at=None,
        doc=pd.Categorical(["x", None, "x"]),
    )
    assert replace_range(connection, TABLE, frame, partition_column="day", first=DAY, last=NEXT) == 3
    found = read_frame(connection, "SELECT day, name, doc FROM copy_sample ORDER BY ctid")
    assert found["day"].tolist() == [DAY, NEXT, NEXT]
    assert found["name"].tolist() == ["c", "a", "b"]
    assert found["doc"].tolist() == [None, "x", "x"]
    with pytest.raises(InvariantViolated, match="outside"):
        replace_range(connection, TABLE, frame, partition_column="day", first=NEXT, last=NEXT)


def test_a_list_of_whole_numbers_keeps_a_missing_one(connection: psycopg.Connection) -> None:
    frame = sample().assign(levels=[[1, None], np.array([-7, 9_007_199_254_740_993]), None])
    replace_range(connection, TABLE, frame, partition_column="day", first=DAY, last=NEXT)
    found = read_frame(connection, "SELECT levels FROM copy_sample ORDER BY day, name")
    assert found["levels"].tolist() == [[-7, 9_007_199_254_740_993], [1, None], None]


@pytest.mark.parametrize("rows_at_once", [1, 2, 3])
def test_slices_make_one_table(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    monkeypatch.setattr(copy, "_ROWS_AT_ONCE", rows_at_once)
    assert replace_range(connection, TABLE, sample(), partition_column="day", first=DAY, last=NEXT) == 3
    found = read_frame(connection, "SELECT name, share FROM copy_sample ORDER BY ctid")
    assert found["name"].tolist() == ["", 'b,"x"\ny', "NA"]
    assert found["share"].tolist()[1:] == [0.1 + 0.2, np.inf]


def test_texts_in_pieces_are_joined(connection: psycopg.Connection) -> None:
    halves = [sample().iloc[:1].astype({"name": "str"}), sample().iloc[1:].astype({"name": "str"})]
    frame = pd.concat(halves, ignore_index=True)
    assert len(pa.chunked_array(frame["name"].array._pa_array).chunks) > 1
    assert append_frame(connection, TABLE, frame) == 3
    found = read_frame(connection, "SELECT name FROM copy_sample ORDER BY day, name")
    assert found["name"].tolist() == ["", 'b,"x"\ny', "NA"]


def test_numbers_beyond_their_column_are_refused(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE copy_small (day date PRIMARY KEY, n int)")
    with pytest.raises(pa.ArrowInvalid, match="not in range") as caught:
        append_frame(connection, "public.copy_small", pd.DataFrame({"day": [DAY], "n": [2**31]}))
    assert caught.value.__notes__ == ["in column n"]


def test_a_type_that_no_frame_holds_is_named(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE copy_odd (day date PRIMARY KEY, place point)")
    with pytest.raises(InvariantViolated, match="column of type point"):
        append_frame(connection, "public.copy_odd", pd.DataFrame({"day": [DAY], "place": ["(1,2)"]}))


def test_parameters_stay_values(connection: psycopg.Connection) -> None:
    append_frame(connection, TABLE, sample())
    found = read_frame(
        connection, "SELECT name FROM copy_sample WHERE name = %(name)s", {"name": "' OR 1=1 --"}
    )
    assert found.empty
    one = read_frame(connection, "SELECT name FROM copy_sample WHERE day = %s AND name = ''", (DAY,))
    assert one["name"].tolist() == [""]


def test_a_sqlalchemy_connection_commits_what_was_copied(pg_url: str) -> None:
    engine = create_engine(pg_url)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE copy_kept (day date PRIMARY KEY)")
        with engine.connect() as connection:
            append_frame(connection, "public.copy_kept", pd.DataFrame({"day": [DAY]}))
            connection.commit()
        with engine.connect() as connection:
            assert read_frame(connection, "SELECT day FROM copy_kept")["day"].tolist() == [DAY]
    finally:
        engine.dispose()
