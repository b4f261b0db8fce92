from datetime import date

from adapters.calendar import load_calendar
from adapters.config_files import load_charges, load_margins
from adapters.config_risk import load_risk
from adapters.settings import Settings
from propdesk.core.calendar import MarketCalendar, Segment
from propdesk.engine.snapshot import read_snapshot, store_form
from propdesk.model.enums import Category, OptionType, Product, Side
from propdesk.model.instrument import Instrument
from propdesk.model.messages import DecisionCode
from trading_daemon.day_context import ChargesCalculator, MarginCalculator, take_snapshot
from trading_daemon.words import EXPLANATIONS, explain_code

DAY = date(2025, 7, 1)


def make_instrument(category: Category, **changes: object) -> Instrument:
    values: dict[str, object] = {
        "instrument_key": "x",
        "category": category,
        "underlying": "NIFTY",
        "expiry": None,
        "strike_paise": None,
        "option_type": None,
        "exchange_segment": "NSE_EQ",
        "security_id": "1",
        "lot_size": 75,
        "tick_paise": 5,
        "freeze_quantity": 0,
        "series": "EQ",
        "has_derivatives": False,
        "valid_from": DAY,
        "valid_to": DAY,
    }
    return Instrument(**{**values, **changes})  # type: ignore[arg-type]


def test_a_bought_option_blocks_its_premium_whatever_the_number_of_lots() -> None:
    margin = MarginCalculator(load_margins(), load_calendar())
    option = make_instrument(
        Category.INDEX_OPT, expiry=date(2025, 7, 3), strike_paise=2_500_000, option_type=OptionType.CE
    )
    for lots in (1, 3):
        found = margin(
            instrument=option,
            product=Product.MARGIN,
            side=Side.BUY,
            price_paise=10_000,
            quantity=75 * lots,
            underlying_paise=None,
            on_date=DAY,
        )
        assert found == 10_000 * 75 * lots


def test_charges_of_nothing_are_nothing_and_of_a_round_trip_more_than_its_tax() -> None:
    charges = ChargesCalculator(load_charges())
    share = make_instrument(Category.NSE_EQ, lot_size=1)

    def of(quantity: int, entry: int, exit_: int) -> int:
        return charges(
            instrument=share,
            product=Product.INTRADAY,
            side=Side.BUY,
            quantity=quantity,
            entry_notional_paise=entry,
            exit_notional_paise=exit_,
            on_date=DAY,
        )

    assert of(0, 0, 0) == 0
    assert of(100, 10_000_000, 10_000_000) > 10_000_000 * 0.00025


def test_every_decision_code_is_explained() -> None:
    assert set(EXPLANATIONS) == set(DecisionCode)
    assert explain_code("SOMETHING_NEW") == "SOMETHING_NEW"


def test_the_tables_in_use_survive_being_stored() -> None:
    """The calendar, charges and margins of the clone itself: what is lost would be decided without."""
    calendar = load_calendar()
    snapshot = take_snapshot(
        Settings(),
        DAY,
        ruleset_version="none",
        regimes={},
        calendar=calendar,
        charges=load_charges(),
        margins=load_margins(),
        risk=load_risk(DAY),
        traded_values={"NSE_EQ:TSTA": 1_234_500},
    )
    found = read_snapshot(store_form(snapshot))
    assert found == snapshot
    again = MarketCalendar.of(found.calendar)
    days = [calendar.first_day, DAY, *calendar.data.special, calendar.last_day]
    for day in days:
        for segment in Segment:
            assert again.hours(day, segment) == calendar.hours(day, segment)
            assert again.closing_auction(day, segment) == calendar.closing_auction(day, segment)
