from datetime import date

import pytest

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
    assert find(lookup, None, date(2025, 1, 3), "CURRENT_WEEKLY") == date(2025, 1, 30)
    assert find(lookup, None, date(2025, 1, 6), "CURRENT_WEEKLY") == date(2025, 1, 9)


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
    assert pick_expiry(rule, WEEKLIES) == expected
    assert pick_expiry(rule, []) is None


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
