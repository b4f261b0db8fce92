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
from propdesk.intake import InstrumentLookup
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument, instrument_key

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
        connection.execute("TRUNCATE ref.instruments, ref.contract_lots")
    yield engine
    engine.dispose()


def read(engine: Engine, first: date, last: date) -> list[Instrument]:
    with begin(engine) as connection:
        return read_instruments(connection, first, last)


def test_dated_rows_replace_the_history_of_their_keys(engine: Engine) -> None:
    rows = [share("X", date(2024, 1, 1), date(2024, 6, 30)), share("X", date(2024, 7, 1), lot=2)]
    assert load_instruments(engine, [*rows, share("Y", DAY)], "generated").added == 3
    assert load_instruments(engine, rows[:1], "generated") == LoadedInstruments(
        added=0, closed=1, unchanged=1
    )
    assert [one.underlying for one in read(engine, DAY, DAY)] == ["Y"]


def test_rows_from_prices_fill_gaps_widen_and_yield_to_masters(engine: Engine) -> None:
    load_instruments(engine, [share("X", date(2024, 1, 1), lot=3)], "dhan")
    spans = [share("X", DAY, date(2025, 3, 1)), share("Z", DAY, date(2025, 3, 1))]
    assert add_price_instruments(engine, spans) == 1
    assert add_price_instruments(engine, [share("Z", date(2025, 2, 1), date(2025, 4, 1))]) == 1
    with begin(engine) as connection:
        assert count_instruments(connection) == {"dhan": 1, "prices": 1}
    found = {one.underlying: one for one in read(engine, DAY, DAY)}
    assert (found["Z"].valid_from, found["Z"].valid_to) == (DAY, date(2025, 4, 1))
    assert found["X"].lot_size == 3


def test_only_the_underlyings_asked_for(engine: Engine) -> None:
    load_instruments(engine, [share("X", DAY), share("Y", DAY)], "dhan")
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


def test_the_stronger_source_wins_where_it_speaks_and_the_weaker_counts_where_it_does_not(
    engine: Engine,
) -> None:
    """Prices < bhavcopies of shares < bhavcopies of derivatives < a broker's master."""
    end = date(2025, 1, 10)
    add_price_instruments(engine, [share("X", date(2025, 1, 1), date(2025, 2, 1), lot=1)])
    load_instruments(engine, [share("X", date(2025, 1, 3), date(2025, 1, 20), lot=2)], "nse_equity_bhavcopy")
    load_instruments(engine, [share("X", date(2025, 1, 5), end, lot=3)], "dhan")
    found = {}
    for day in (date(2025, 1, 1), date(2025, 1, 4), date(2025, 1, 7), date(2025, 1, 15), date(2025, 1, 25)):
        lookup = InstrumentLookup(read(engine, day, day))
        one = lookup.get("NSE_EQ:X", day)
        assert one is not None
        found[day.day] = one.lot_size
    assert found == {1: 1, 4: 2, 7: 3, 15: 2, 25: 1}


def test_a_share_has_derivatives_while_any_source_lists_a_future_on_it(engine: Engine) -> None:
    expiry = date(2025, 1, 30)
    key = instrument_key(Category.STOCK_FUT, "X", expiry)
    future = replace(
        share("X", date(2025, 1, 6), expiry), instrument_key=key, category=Category.STOCK_FUT, expiry=expiry
    )
    load_instruments(engine, [share("X", DAY)], "nse_equity_bhavcopy")
    load_instruments(engine, [future], "nse_fo_bhavcopy")
    rows = [one for one in read(engine, DAY, date(2025, 3, 1)) if one.category is Category.NSE_EQ]
    assert [(one.valid_from, one.valid_to, one.has_derivatives) for one in rows] == [
        (DAY, date(2025, 1, 5), False),
        (date(2025, 1, 6), expiry, True),
        (date(2025, 1, 31), FAR, False),
    ]
