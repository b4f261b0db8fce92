"""The history of instruments in the database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import Engine

from adapters.db.engine import begin, create_engine
from adapters.db.repos.instruments import (
    LoadedInstruments,
    add_price_instruments,
    count_instruments,
    load_instruments,
    read_derivative_listings,
    read_instruments,
)
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument

pytestmark = pytest.mark.integration
DAY = date(2025, 1, 2)
FAR = date(9999, 12, 31)


def share(symbol: str, first: date, last: date = FAR, lot: int = 1) -> Instrument:
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


@pytest.fixture
def engine(pg_url: str) -> Iterator[Engine]:
    engine = create_engine(pg_url, "test")
    with begin(engine) as connection:
        connection.execute("TRUNCATE ref.instruments")
    yield engine
    engine.dispose()


def read(engine: Engine, first: date, last: date) -> list[Instrument]:
    with begin(engine) as connection:
        return read_instruments(connection, first, last)


def test_snapshots_become_history(engine: Engine) -> None:
    rows = [share("X", date(2024, 1, 1)), share("Y", date(2024, 1, 1))]
    assert load_instruments(engine, rows, "dhan", day=date(2024, 1, 1)).added == 2
    assert load_instruments(engine, rows, "dhan", day=date(2024, 1, 1)) == LoadedInstruments(0, 0, 2)
    load_instruments(engine, [share("X", DAY, lot=10)], "dhan", day=DAY)
    assert [(one.underlying, one.lot_size) for one in read(engine, DAY, DAY)] == [("X", 10)]
    assert [(one.underlying, one.lot_size) for one in read(engine, date(2024, 6, 3), date(2024, 6, 3))] == [
        ("X", 1),
        ("Y", 1),
    ]


def test_dated_rows_replace_the_history_of_their_keys(engine: Engine) -> None:
    rows = [share("X", date(2024, 1, 1), date(2024, 6, 30)), share("X", date(2024, 7, 1), lot=2)]
    assert load_instruments(engine, [*rows, share("Y", DAY)], "generated").added == 3
    assert load_instruments(engine, rows[:1], "generated") == LoadedInstruments(
        added=0, closed=1, unchanged=1
    )
    assert [one.underlying for one in read(engine, DAY, DAY)] == ["Y"]


def test_rows_from_prices_fill_gaps_widen_and_yield_to_masters(engine: Engine) -> None:
    load_instruments(engine, [share("X", date(2024, 1, 1), lot=3)], "dhan", day=date(2024, 1, 1))
    spans = [share("X", DAY, date(2025, 3, 1)), share("Z", DAY, date(2025, 3, 1))]
    assert add_price_instruments(engine, spans) == 1
    assert add_price_instruments(engine, [share("Z", date(2025, 2, 1), date(2025, 4, 1))]) == 1
    with begin(engine) as connection:
        assert count_instruments(connection) == {"dhan": 1, "prices": 1}
    found = {one.underlying: one for one in read(engine, DAY, DAY)}
    assert (found["Z"].valid_from, found["Z"].valid_to) == (DAY, date(2025, 4, 1))
    assert found["X"].lot_size == 3


def test_only_the_underlyings_asked_for(engine: Engine) -> None:
    load_instruments(engine, [share("X", DAY), share("Y", DAY)], "dhan", day=DAY)
    with begin(engine) as connection:
        assert [one.underlying for one in read_instruments(connection, DAY, DAY, underlyings={"Y"})] == ["Y"]


def test_listings_are_the_days_on_which_any_derivative_of_a_stock_was_listed(engine: Engine) -> None:
    def future(symbol: str, first: date, last: date) -> Instrument:
        base = share(symbol, first, last)
        key = f"STOCK_FUT:{symbol}:{last}"
        return replace(base, instrument_key=key, category=Category.STOCK_FUT, expiry=last)

    rows = [
        future("X", date(2025, 1, 1), date(2025, 1, 30)),
        future("X", date(2025, 1, 31), date(2025, 2, 27)),
        future("X", date(2025, 6, 1), date(2025, 6, 26)),
        share("Y", date(2025, 1, 1)),
        replace(share("Z", date(2025, 1, 1)), has_derivatives=True),
    ]
    load_instruments(engine, rows, "test")
    x_early, x_late = (date(2025, 1, 1), date(2025, 2, 27)), (date(2025, 6, 1), date(2025, 6, 26))
    with begin(engine) as connection:
        whole = read_derivative_listings(connection).spans
        assert whole == {"X": [x_early, x_late], "Z": [(date(2025, 1, 1), FAR)]}
        march = read_derivative_listings(connection, date(2025, 3, 1), date(2025, 3, 31)).spans
        assert march == {"Z": [(date(2025, 1, 1), FAR)]}
