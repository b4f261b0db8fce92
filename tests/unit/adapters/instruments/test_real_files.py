"""The instrument files of ../shared/data: what they hold, with their documented defects counted."""

from collections import Counter
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from adapters.calendar import load_calendar
from adapters.contract_sizes import load_contract_sizes
from adapters.instruments import InstrumentFile, read_instrument_file
from adapters.uploads import load_aliases
from propdesk.intake import InstrumentLookup, RejectReason
from propdesk.intake.expiries import expiry_calendar
from propdesk.intake.freeze import with_freeze
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument

DATA = Path(__file__).resolve().parents[4] / ".." / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the shared data folder is not beside this clone")
MASTER_DAY = date(2025, 8, 26)
"""The reduced master lists contracts that expire on 26 August 2025 and none older: it is of that day."""
FO_DAY = date(2025, 11, 14)


def read(name: str, day: date | None = None) -> InstrumentFile:
    found = read_instrument_file(DATA / name, day)
    # Nothing is lost: every row is taken or counted under a reason.
    assert found.rows_read == found.rows_taken + sum(found.skipped.values())
    return found


@pytest.fixture(scope="module")
def master() -> InstrumentFile:
    return read("dhan_scrip_master/dhan_derived_fno_2025-09.csv.gz", MASTER_DAY)


@pytest.fixture(scope="module")
def options() -> InstrumentFile:
    return read("nse_fo_bhavcopy/op14112025.csv.gz")


@pytest.fixture(scope="module")
def futures() -> InstrumentFile:
    return read("nse_fo_bhavcopy/fo14112025.csv.gz")


@pytest.fixture(scope="module")
def compact() -> InstrumentFile:
    return read("dhan_scrip_master/dhan_compact_equity_index_2026-06.csv.gz", date(2026, 6, 1))


def expiry(found: Instrument | RejectReason) -> date | RejectReason:
    assert not isinstance(found, Instrument) or found.expiry is not None
    return found.expiry if isinstance(found, Instrument) and found.expiry else found  # type: ignore[return-value]


def test_the_compact_master(compact: InstrumentFile) -> None:
    assert (compact.layout, compact.rows_read, compact.rows_taken) == ("compact", 23_116, 3_274)
    assert compact.rejected == []
    assert compact.skipped == {
        "EQUITY of another market": 13_339,  # BSE
        "security other than shares and ETFs": 6_312,
        "INDEX of another market": 191,
    }
    shares = {one.underlying: one for one in compact.instruments}
    assert shares["RELIANCE"].security_id == "2885"
    assert {one.category for one in compact.instruments} == {Category.NSE_EQ}


def test_the_reduced_master(master: InstrumentFile) -> None:
    assert (master.layout, master.rows_read, master.rows_taken) == ("reduced", 19_118, 18_876)
    assert master.rejected == []
    assert master.skipped == {
        "FUTCOM of another market": 121,  # commodities
        "INDEX of another market": 111,
        "further series or repeat of one instrument": 10,
    }
    by_category = Counter(one.category for one in master.instruments)
    assert set(by_category) == {Category.NSE_EQ, Category.INDEX_FUT, Category.INDEX_OPT}


def test_the_reduced_master_read_as_of_september_keeps_what_had_expired_apart() -> None:
    late = read("dhan_scrip_master/dhan_derived_fno_2025-09.csv.gz", date(2025, 9, 10))
    assert Counter(one.reason for one in late.rejected) == {"PAST_EXPIRY": 5_066}


@pytest.mark.parametrize(
    ("name", "rows", "taken", "lots", "banknifty"),
    [("2022-11", 199, 198, 605, 25), ("2023-02", 196, 195, 597, 25), ("2026-08", 214, 213, 651, 30)],
)
def test_the_lot_tables(name: str, rows: int, taken: int, lots: int, banknifty: int) -> None:
    found = read(f"nse_lot_sizes/fo_mktlots_{name}.csv.gz")
    assert (found.rows_read, found.rows_taken, len(found.lots)) == (rows, taken, lots)
    assert (found.skipped, found.rejected) == ({"heading": 1}, [])
    assert found.day == date.fromisoformat(f"{name}-01")
    by_name = {(lot.underlying, lot.expiry_month): lot.lot_size for lot in found.lots}
    assert by_name["BANKNIFTY", found.day] == banknifty


def test_the_futures_of_14_november_2025(futures: InstrumentFile) -> None:
    assert (futures.rows_read, futures.rows_taken, futures.day) == (633, 632, FO_DAY)
    assert (futures.skipped, futures.rejected) == ({"footnote": 1}, [])
    lots = {one.instrument_key: one.lot_size for one in futures.instruments}
    assert lots["STOCK_FUT:IDEA:2025-11-25"] == 71_475
    # Two lots of one underlying on one day: the January contracts were created with the new one.
    assert (lots["INDEX_FUT:BANKNIFTY:2025-12-30"], lots["INDEX_FUT:BANKNIFTY:2026-01-27"]) == (35, 30)


def test_the_options_of_14_november_2025(options: InstrumentFile) -> None:
    assert (options.rows_read, options.rows_taken, options.day) == (15_131, 15_130, FO_DAY)
    assert (options.skipped, options.rejected) == ({"footnote": 1}, [])
    nifty = {one.expiry: one.lot_size for one in options.instruments if one.underlying == "NIFTY"}
    assert nifty[date(2025, 12, 30)] == 75
    assert nifty[date(2026, 1, 27)] == 65
    # The half-yearly contract was converted only on 30 December 2025: the file knows, a table would not.
    assert nifty[date(2026, 6, 30)] == 75


@pytest.mark.parametrize(
    ("day", "rows"),
    [("2020-07-02", 1_385), ("2021-04-16", 1_535), ("2024-03-18", 1_813), ("2026-08-20", 2_630)],
)
def test_the_bhavcopies_of_shares(day: str, rows: int) -> None:
    found = read(f"nse_equity_daily/raw_bhavcopy_{day}.csv.gz")
    assert (found.rows_read, found.rows_taken, found.rejected) == (rows, rows, [])
    assert found.day == date.fromisoformat(day)


def test_ticks_by_price_band_are_mostly_those_the_broker_lists(compact: InstrumentFile) -> None:
    """A bhavcopy carries no tick: the band of its close stands in, eleven weeks of price moves apart."""
    listed = {one.underlying: one.tick_paise for one in compact.instruments}
    found = read("nse_equity_daily/raw_bhavcopy_2026-08-20.csv.gz").instruments
    both = [(one.tick_paise, listed[one.underlying]) for one in found if one.underlying in listed]
    assert len(both) > 2_000
    assert sum(a == b for a, b in both) / len(both) > 0.8


def test_every_listed_expiry_is_a_market_day(master: InstrumentFile, options: InstrumentFile) -> None:
    """An expiry that falls on a holiday moves to the day before; the lists know, and so does the calendar."""
    calendar = load_calendar()
    listed = {one.expiry for one in [*master.instruments, *options.instruments] if one.expiry}
    known = sorted(day for day in listed if day <= calendar.last_day)
    assert date(2025, 10, 1) in known  # SENSEX: Thursday 2 October was a holiday
    assert date(2025, 12, 24) in known  # SENSEX: Thursday 25 December was one
    # Both files are older than the holiday list of 2026 (12 December 2025), which closed these two days; the
    # contracts then move to the day before, under which later masters list them.
    moved = [day for day in known if not calendar.is_market_day(day)]
    assert moved == [date(2026, 3, 26), date(2026, 3, 31)]


def test_the_calendar_of_expiry_days_around_the_change_of_september_2025(master: InstrumentFile) -> None:
    def shown(symbol: str, last: date) -> list[tuple[str, bool]]:
        rows = [one for one in master.instruments if one.underlying == symbol]
        found = expiry_calendar(rows, load_calendar(), MASTER_DAY, last)
        return [
            (f"{one.day:%a %d %b}", one.is_monthly) for one in found if one.category is Category.INDEX_OPT
        ]

    assert shown("NIFTY", date(2025, 9, 30)) == [
        ("Thu 28 Aug", True),
        ("Tue 02 Sep", False), ("Tue 09 Sep", False), ("Tue 16 Sep", False), ("Tue 23 Sep", False),
        ("Tue 30 Sep", True),
    ]  # fmt: skip
    # Thursday 2 October was a holiday: the week's contract expired on the Wednesday before.
    assert shown("SENSEX", date(2025, 10, 8))[-2:] == [("Thu 25 Sep", True), ("Wed 01 Oct", False)]
    assert shown("BANKNIFTY", date(2025, 9, 30)) == [("Thu 28 Aug", True), ("Tue 30 Sep", True)]


def test_weekly_expiries_change_their_weekday_by_the_listed_contracts(master: InstrumentFile) -> None:
    """Across 1 September 2025 NIFTY goes from Thursday to Tuesday, SENSEX from Tuesday to Thursday."""
    lookup = InstrumentLookup(master.instruments)
    nifty = lookup.expiries(Category.INDEX_OPT, "NIFTY", MASTER_DAY)[:5]
    sensex = lookup.expiries(Category.INDEX_OPT, "SENSEX", MASTER_DAY)[:5]
    assert nifty[0] == date(2025, 8, 28)
    assert nifty[1:] == [date(2025, 9, 2), date(2025, 9, 9), date(2025, 9, 16), date(2025, 9, 23)]
    assert [day.weekday() for day in nifty] == [3, 1, 1, 1, 1]
    assert sensex[0] == MASTER_DAY
    assert [day.weekday() for day in sensex] == [1, 3, 3, 3, 3]


@pytest.mark.parametrize(
    ("day", "rule", "expected"),
    [
        (date(2025, 8, 26), "CURRENT_WEEKLY", date(2025, 8, 28)),
        (date(2025, 8, 28), "CURRENT_WEEKLY", date(2025, 8, 28)),
        (date(2025, 8, 29), "CURRENT_WEEKLY", date(2025, 9, 2)),
        (date(2025, 8, 29), "NEXT_WEEKLY", date(2025, 9, 9)),
        (date(2025, 8, 26), "CURRENT_MONTHLY", date(2025, 8, 28)),
        (date(2025, 8, 29), "CURRENT_MONTHLY", date(2025, 9, 30)),
        (date(2025, 8, 29), "NEXT_MONTHLY", date(2025, 10, 28)),
        (date(2025, 8, 29), "MONTH-12", date(2025, 12, 30)),
    ],
)
def test_words_about_expiry_resolve_to_real_contracts(
    master: InstrumentFile, day: date, rule: str, expected: date
) -> None:
    lookup = InstrumentLookup(master.instruments)
    strike = next(
        one.strike_paise
        for one in master.instruments
        if (one.underlying, one.expiry) == ("NIFTY", expected) and one.option_type is OptionType.CE
    )
    found = lookup.find(Category.INDEX_OPT, "NIFTY", None, strike, OptionType.CE, day, expiry_rule=rule)
    assert expiry(found) == expected


def test_banknifty_has_no_weekly_contract_to_resolve_to(master: InstrumentFile) -> None:
    lookup = InstrumentLookup(master.instruments)
    strike = next(
        one.strike_paise
        for one in master.instruments
        if (one.underlying, one.expiry) == ("BANKNIFTY", date(2025, 9, 30)) and one.strike_paise
    )
    weekly = lookup.find(
        Category.INDEX_OPT,
        "BANKNIFTY",
        None,
        strike,
        OptionType.CE,
        date(2025, 9, 3),
        expiry_rule="CURRENT_WEEKLY",
    )
    assert weekly is RejectReason.UNKNOWN_SYMBOL
    # In its last week the monthly contract is what the words mean.
    last_week = lookup.find(
        Category.INDEX_OPT,
        "BANKNIFTY",
        None,
        strike,
        OptionType.CE,
        date(2025, 9, 24),
        expiry_rule="CURRENT_WEEKLY",
    )
    assert expiry(last_week) == date(2025, 9, 30)


def test_reasons_on_the_real_list_of_a_day(options: InstrumentFile) -> None:
    lookup = InstrumentLookup(options.instruments, load_aliases())
    strike, call = 2_590_000, OptionType.CE
    nifty = (Category.INDEX_OPT, "NIFTY")
    assert expiry(lookup.find(*nifty, date(2025, 11, 18), strike, call, FO_DAY)) == date(2025, 11, 18)
    assert lookup.find(*nifty, None, strike, call, FO_DAY) is RejectReason.AMBIGUOUS
    assert lookup.find(*nifty, date(2025, 11, 11), strike, call, FO_DAY) is RejectReason.EXPIRED
    before = date(2025, 11, 13)
    assert lookup.find(*nifty, date(2025, 11, 18), strike, call, before) is RejectReason.NOT_YET_LISTED
    assert lookup.find(*nifty, date(2025, 11, 19), strike, call, FO_DAY) is RejectReason.UNKNOWN_SYMBOL


def test_freeze_lots_of_the_day(options: InstrumentFile) -> None:
    """600 units of BANKNIFTY on that day: 17 lots of the December contract, 20 of the January one."""
    named = with_freeze(options.instruments, load_contract_sizes().freeze)
    lookup = InstrumentLookup([one for one in named if one.underlying == "BANKNIFTY"])
    found = {one.expiry: one for one in lookup.listed(FO_DAY)}
    december, january = found[date(2025, 12, 30)], found[date(2026, 1, 27)]
    assert (december.freeze_quantity // december.lot_size, december.lot_size) == (17, 35)
    assert (january.freeze_quantity // january.lot_size, january.lot_size) == (20, 30)


def test_freeze_quantities_of_a_contract_move_with_the_exchanges_table(options: InstrumentFile) -> None:
    """One file in November, yet December's contract has another limit from December on."""
    lookup = InstrumentLookup(with_freeze(options.instruments, load_contract_sizes().freeze))
    key = next(
        one.instrument_key
        for one in options.instruments
        if (one.underlying, one.expiry) == ("FINNIFTY", date(2025, 12, 30))
    )
    days = (FO_DAY, date(2025, 11, 30), date(2025, 12, 1), date(2025, 12, 30))
    held = [one.freeze_quantity for day in days if (one := lookup.get(key, day)) is not None]
    assert held == [1_800, 1_800, 1_200, 1_200]


def test_the_dated_lots_are_those_of_every_real_file(
    futures: InstrumentFile, options: InstrumentFile, master: InstrumentFile
) -> None:
    """Every index contract of three lot tables and a day of trading, the long-dated ones included."""
    sizes = load_contract_sizes()
    seen = 0
    for name in ("2022-11", "2023-02", "2026-08"):
        table = read(f"nse_lot_sizes/fo_mktlots_{name}.csv.gz")
        for lot in table.lots:
            if lot.underlying in sizes.lots:
                assert sizes.lot_size(lot.underlying, lot.expiry_month, table.day) == lot.lot_size, lot
                seen += 1
    for one in [*futures.instruments, *options.instruments]:
        if one.underlying in sizes.lots and one.expiry is not None:
            assert sizes.lot_size(one.underlying, one.expiry, FO_DAY) == one.lot_size, one
            seen += 1
    assert seen == 1_910
    # The extract of a master carries no lot: in August 2025 the contracts of 2026 still had 75 and 35.
    lots = {(one.underlying, one.expiry): one.lot_size for one in master.instruments}
    assert lots["NIFTY", date(2026, 6, 30)] == lots["NIFTY", date(2027, 12, 28)] == 75
    assert lots["BANKNIFTY", date(2026, 3, 31)] == 35


def test_renames_lie_between_the_bhavcopies_that_know_the_old_and_the_new_name() -> None:
    """Each old symbol is known before its day and not after, each new one the other way round."""
    days = [date(2020, 7, 2), date(2021, 4, 16), date(2024, 3, 18), date(2026, 8, 20)]
    known = {day: {one.underlying for one in read(_bhavcopy(day)).instruments} for day in days}
    renames = load_aliases().renames.values()
    assert len(renames) == 10
    for rename in renames:
        for day in days:
            if day >= rename.since:
                assert rename.old not in known[day], (rename, day)
            else:
                assert rename.new not in known[day], (rename, day)
        assert any(rename.old in known[day] for day in days), rename
        later = load_aliases().canonical(rename.new, days[-1])
        assert later in known[days[-1]], rename


def test_renames_happened_on_the_day_the_prices_show() -> None:
    table = pq.read_table(DATA / "nse_equity_daily" / "daily_180.parquet", columns=["Date", "SYMBOL"])
    seen: dict[str, list[str]] = {}
    for day, symbol in zip(table["Date"].to_pylist(), table["SYMBOL"].to_pylist(), strict=True):
        seen.setdefault(symbol, []).append(str(day)[:10])
    calendar, checked = load_calendar(), 0
    for rename in load_aliases().renames.values():
        if rename.new in seen:
            assert date.fromisoformat(min(seen[rename.new])) == rename.since, rename
            checked += 1
        elif rename.old in seen:
            assert calendar.next_day(date.fromisoformat(max(seen[rename.old]))) == rename.since, rename
            checked += 1
    assert checked == 9


def _bhavcopy(day: date) -> str:
    return f"nse_equity_daily/raw_bhavcopy_{day}.csv.gz"
