"""Shares with derivatives: from whatever source says so."""

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from propdesk.intake.listings import DerivativeListings, mark_listed
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument, instrument_key

FIRST, LAST = date(2026, 1, 1), date(2026, 3, 31)
KEY = instrument_key(Category.NSE_EQ, "X")
SHARE = Instrument(
    KEY, Category.NSE_EQ, "X", None, None, None, "NSE_EQ", "1", 1, 5, 0, "EQ", False, FIRST, LAST
)


def flags(rows: list[Instrument]) -> list[tuple[date, date, bool]]:
    return [(one.valid_from, one.valid_to, one.has_derivatives) for one in rows]


def test_a_share_is_cut_where_its_derivatives_begin_and_end() -> None:
    listings = DerivativeListings({"X": [(date(2026, 2, 1), date(2026, 2, 28))]})
    assert flags(mark_listed([SHARE], listings)) == [
        (FIRST, date(2026, 1, 31), False),
        (date(2026, 2, 1), date(2026, 2, 28), True),
        (date(2026, 3, 1), LAST, False),
    ]


def test_other_shares_marked_shares_and_contracts_stay_as_they_are() -> None:
    marked = replace(SHARE, has_derivatives=True)
    future = replace(SHARE, category=Category.STOCK_FUT, instrument_key="STOCK_FUT:X:2026-01-27")
    rows = [marked, future, replace(SHARE, underlying="Y")]
    assert mark_listed(rows, DerivativeListings({"X": [(FIRST, LAST)]})) == rows
    assert mark_listed([], DerivativeListings()) == []


@given(st.lists(st.integers(-20, 130), max_size=8, unique=True))
def test_every_day_is_kept_once_and_marked_as_some_span_says(edges: list[int]) -> None:
    days = [FIRST + timedelta(days=n) for n in sorted(edges)]
    listings = DerivativeListings({"X": list(zip(days[::2], days[1::2], strict=False))})
    rows = mark_listed([SHARE], listings)
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        holding = [one for one in rows if one.valid_from <= day <= one.valid_to]
        assert len(holding) == 1
        assert holding[0].has_derivatives == listings.include("X", day)
    assert {replace(one, valid_from=FIRST, valid_to=LAST, has_derivatives=False) for one in rows} == {SHARE}
