from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.intake import Aliases, InstrumentLookup, RejectReason, Rename, pick_expiry
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument, instrument_key

FAR = date(9999, 12, 31)
WEEKLIES = [date(2025, 1, 2), date(2025, 1, 9), date(2025, 1, 16), date(2025, 1, 30), date(2025, 2, 27)]


def share(symbol: str, first: date, last: date = FAR, lot: int = 1) -> Instrument:
    key = instrument_key(Category.NSE_EQ, symbol)
    return Instrument(
        key, Category.NSE_EQ, symbol, None, None, None, "NSE_EQ", "1", lot, 5, 0, "EQ", True, first, last
    )


def option(expiry: date, first: date = date(2024, 12, 1), strike: int = 2_400_000) -> Instrument:
    key = instrument_key(Category.INDEX_OPT, "NIFTY", expiry, strike, OptionType.CE)
    return Instrument(
        key,
        Category.INDEX_OPT,
        "NIFTY",
        expiry,
        strike,
        OptionType.CE,
        "NSE_FNO",
        "2",
        75,
        5,
        1800,
        "XX",
        False,
        first,
        expiry,
    )


def test_values_are_those_of_the_day() -> None:
    lookup = InstrumentLookup(
        [share("X", date(2024, 1, 1), date(2024, 6, 30)), share("X", date(2024, 7, 1), lot=10)]
    )
    for day, lot in ((date(2024, 6, 30), 1), (date(2024, 7, 1), 10)):
        found = lookup.get("NSE_EQ:X", day)
        assert found is not None
        assert found.lot_size == lot
    assert lookup.get("NSE_EQ:X", date(2023, 12, 31)) is None


def find(lookup: InstrumentLookup, expiry: date | None, day: date, rule: str | None = None) -> object:
    found = lookup.find(Category.INDEX_OPT, "NIFTY", expiry, 2_400_000, OptionType.CE, day, expiry_rule=rule)
    return found.expiry if isinstance(found, Instrument) else found


def test_reasons() -> None:
    lookup = InstrumentLookup([*map(option, WEEKLIES), share("X", date(2024, 1, 1), date(2024, 11, 1))])
    day = date(2025, 1, 3)
    assert find(lookup, date(2025, 1, 9), day) == date(2025, 1, 9)
    assert find(lookup, date(2025, 1, 2), day) is RejectReason.EXPIRED
    assert find(lookup, date(2025, 1, 9), date(2024, 11, 1)) is RejectReason.NOT_YET_LISTED
    assert find(lookup, date(2025, 1, 10), day) is RejectReason.UNKNOWN_SYMBOL
    assert find(lookup, None, day) is RejectReason.AMBIGUOUS
    assert find(lookup, None, date(2025, 2, 1)) == date(2025, 2, 27)
    assert find(lookup, None, date(2025, 3, 1)) is RejectReason.EXPIRED
    gone = lookup.find(Category.NSE_EQ, "X", None, None, None, day)
    assert gone is RejectReason.EXPIRED


def test_the_reason_does_not_depend_on_how_much_of_the_master_was_read() -> None:
    early, late = share("X", date(2024, 1, 1), date(2024, 3, 1)), share("X", date(2025, 2, 1))
    narrow, wide = InstrumentLookup([late]), InstrumentLookup([early, late])

    def reasons(day: date) -> set[object]:
        return {one.find(Category.NSE_EQ, "X", None, None, None, day) for one in (narrow, wide)}

    assert reasons(date(2024, 10, 4)) == {RejectReason.NOT_YET_LISTED}
    assert reasons(date(2024, 10, 3)) == {RejectReason.UNKNOWN_SYMBOL}


def test_expiry_day_itself_still_trades() -> None:
    lookup = InstrumentLookup(list(map(option, WEEKLIES)))
    assert find(lookup, None, WEEKLIES[0], "CURRENT_WEEKLY") == WEEKLIES[0]


def test_a_rule_sees_only_what_is_listed_that_day() -> None:
    late = option(date(2025, 1, 9), first=date(2025, 1, 5))
    lookup = InstrumentLookup([late, option(date(2025, 1, 30))])
    assert find(lookup, None, date(2025, 1, 3), "CURRENT_MONTHLY") == date(2025, 1, 30)
    assert find(lookup, None, date(2025, 1, 3), "CURRENT_WEEKLY") is RejectReason.UNKNOWN_SYMBOL
    assert find(lookup, None, date(2025, 1, 6), "CURRENT_WEEKLY") == date(2025, 1, 9)


def test_a_monthly_contract_is_the_weekly_one_only_in_its_last_week() -> None:
    lookup = InstrumentLookup([option(date(2025, 1, 30)), option(date(2025, 2, 27))])
    assert find(lookup, None, date(2025, 1, 22), "CURRENT_WEEKLY") is RejectReason.UNKNOWN_SYMBOL
    assert find(lookup, None, date(2025, 1, 23), "CURRENT_WEEKLY") == date(2025, 1, 30)
    assert find(lookup, None, date(2025, 1, 23), "NEXT_WEEKLY") is RejectReason.UNKNOWN_SYMBOL


def test_expiry_days_are_those_of_the_contracts_listed_then() -> None:
    lookup = InstrumentLookup([*map(option, WEEKLIES), option(date(2025, 1, 23), first=date(2025, 2, 1))])
    days = lookup.expiry_days(Category.INDEX_OPT, "NIFTY", date(2025, 1, 5), date(2025, 1, 31))
    assert days == [date(2025, 1, 9), date(2025, 1, 16), date(2025, 1, 30)]
    assert lookup.expiry_days(Category.INDEX_FUT, "NIFTY", date(2025, 1, 5), date(2025, 1, 31)) == []


def test_what_is_listed_on_a_day() -> None:
    lookup = InstrumentLookup([*map(option, WEEKLIES), share("X", date(2024, 1, 1), date(2024, 3, 1))])
    assert [one.expiry for one in lookup.listed(date(2025, 1, 20))] == [date(2025, 1, 30), date(2025, 2, 27)]
    assert [one.underlying for one in lookup.listed(date(2024, 2, 1))] == ["X"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("CURRENT_WEEKLY", date(2025, 1, 2)),
        ("NEXT_WEEKLY", date(2025, 1, 9)),
        ("CURRENT_MONTHLY", date(2025, 1, 30)),
        ("NEXT_MONTHLY", date(2025, 2, 27)),
        ("MONTH-02", date(2025, 2, 27)),
        ("MONTH-03", None),
        ("DAY-01-16", date(2025, 1, 16)),
        ("DAY-01-17", None),
    ],
)
def test_rules_pick_among_the_listed(rule: str, expected: date | None) -> None:
    assert pick_expiry(rule, WEEKLIES, date(2025, 1, 2)) == expected
    assert pick_expiry(rule, [], date(2025, 1, 2)) is None


def test_the_later_row_wins_where_two_hold() -> None:
    day = date(2024, 1, 1)
    found = InstrumentLookup([share("X", day), share("X", day, lot=7)]).get("NSE_EQ:X", day)
    assert found is not None
    assert found.lot_size == 7


def test_renames_are_dated() -> None:
    aliases = Aliases.build({}, {"OLD": ["OLD LTD"]}, [Rename("OLD", "NEW", date(2025, 1, 1))])
    assert aliases.canonical("old ltd", date(2024, 12, 31)) == "OLD"
    assert aliases.canonical("old ltd", date(2025, 1, 1)) == "NEW"
    assert aliases.canonical("un known", date(2025, 1, 1)) == "UNKNOWN"


def test_a_symbol_renamed_twice_has_its_newest_name_of_the_day() -> None:
    renames = [Rename("A", "B", date(2024, 1, 1)), Rename("B", "C", date(2025, 1, 1))]
    aliases = Aliases.build({}, {}, renames)
    days = (date(2023, 12, 31), date(2024, 1, 1), date(2025, 1, 1))
    assert [aliases.canonical("a", day) for day in days] == ["A", "B", "C"]
    back = Aliases.build({}, {}, [Rename("A", "B", date(2024, 1, 1)), Rename("B", "A", date(2025, 1, 1))])
    assert back.canonical("A", date(2024, 6, 1)) == "B"
    assert back.canonical("A", date(2025, 6, 1)) == "A"


def test_a_renamed_share_resolves_by_its_old_name_on_either_side_of_the_day() -> None:
    day = date(2026, 2, 27)
    aliases = Aliases.build({}, {}, [Rename("LTIM", "LTM", day)])
    lookup = InstrumentLookup(
        [share("LTIM", date(2022, 12, 5), date(2026, 2, 26)), share("LTM", day)], aliases
    )
    found = {}
    for on_date in (date(2026, 2, 26), day):
        one = lookup.find(Category.NSE_EQ, aliases.canonical("LTIM", on_date), None, None, None, on_date)
        assert isinstance(one, Instrument)
        found[on_date] = one.underlying
    assert found == {date(2026, 2, 26): "LTIM", day: "LTM"}
    too_early = lookup.find(Category.NSE_EQ, "LTM", None, None, None, date(2026, 2, 26))
    assert too_early is RejectReason.NOT_YET_LISTED


days_of_year = st.integers(0, 364).map(lambda n: date(2025, 1, 1) + timedelta(days=n))


@given(st.lists(days_of_year, max_size=12, unique=True), days_of_year)
def test_words_about_expiry_always_name_a_listed_contract(found: list[date], on_date: date) -> None:
    listed = sorted(day for day in found if day >= on_date)
    rules = ("CURRENT_WEEKLY", "NEXT_WEEKLY", "CURRENT_MONTHLY", "NEXT_MONTHLY", "MONTH-06")
    chosen = {rule: pick_expiry(rule, listed, on_date) for rule in rules}
    assert all(day is None or day in listed for day in chosen.values())
    current, following = chosen["CURRENT_WEEKLY"], chosen["NEXT_WEEKLY"]
    assert current is None or (current == listed[0] and (current - on_date).days <= 7)
    assert following is None or (following == listed[1] and (following - on_date).days <= 14)
    monthly, later = chosen["CURRENT_MONTHLY"], chosen["NEXT_MONTHLY"]
    assert (monthly is None) == (not listed)
    assert later is None or (monthly is not None and later.replace(day=1) > monthly.replace(day=1))
