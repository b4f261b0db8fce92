"""Freeze quantities by the trading day, for contracts whose file names none."""

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from propdesk.intake.freeze import with_freeze
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument, instrument_key

FIRST, LAST = date(2025, 10, 15), date(2026, 1, 27)
KEY = instrument_key(Category.INDEX_FUT, "BANKNIFTY", LAST)
FUTURE = Instrument(
    KEY,
    Category.INDEX_FUT,
    "BANKNIFTY",
    LAST,
    None,
    None,
    "NSE_FNO",
    "1",
    30,
    20,
    0,
    "XX",
    False,
    FIRST,
    LAST,
)
STEPS = {"BANKNIFTY": [(date(2025, 9, 1), 900), (date(2025, 11, 3), 600), (date(2026, 4, 1), 900)]}


def test_a_contract_is_cut_where_the_exchange_changes_its_limit() -> None:
    assert [(one.valid_from, one.valid_to, one.freeze_quantity) for one in with_freeze([FUTURE], STEPS)] == [
        (FIRST, date(2025, 11, 2), 900),
        (date(2025, 11, 3), LAST, 600),
    ]


def test_what_its_file_names_stays_and_so_do_shares_and_other_underlyings() -> None:
    named = replace(FUTURE, freeze_quantity=570)
    share = replace(FUTURE, category=Category.NSE_EQ, expiry=None)
    other = replace(FUTURE, underlying="NIFTY")
    assert with_freeze([named, share, other], STEPS) == [named, share, other]
    assert with_freeze([], STEPS) == []


def test_before_the_table_begins_no_limit_is_known() -> None:
    steps = {"BANKNIFTY": [(LAST, 600)]}
    assert [one.freeze_quantity for one in with_freeze([FUTURE], steps)] == [0, 600]
    assert with_freeze([FUTURE], {"BANKNIFTY": [(LAST + timedelta(days=1), 600)]}) == [FUTURE]


@given(st.dictionaries(st.integers(-20, 130), st.sampled_from([600, 900]), max_size=6))
def test_every_day_is_kept_once_with_the_limit_of_its_day(changes: dict[int, int]) -> None:
    steps = [(FIRST + timedelta(days=n), changes[n]) for n in sorted(changes)]
    rows = with_freeze([FUTURE], {"BANKNIFTY": steps})
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        (holding,) = [one for one in rows if one.valid_from <= day <= one.valid_to]
        assert holding.freeze_quantity == ([0] + [units for since, units in steps if since <= day])[-1]
    assert {replace(one, valid_from=FIRST, valid_to=LAST, freeze_quantity=0) for one in rows} == {FUTURE}
