from datetime import date

import pytest

from adapters.config_files import load_charges
from propdesk.core.errors import GapFault
from propdesk.model.enums import Category, Product, Side
from propdesk.risk.charges import (
    ChargedFill,
    ChargeModel,
    ChargeRate,
    Charges,
    ChargeSegment,
    Component,
    charge_segment,
    trade_charges,
)

SINCE_APRIL_2026 = date(2026, 6, 1)
IN_2025 = date(2025, 11, 5)


def round_trip(
    segment: ChargeSegment, quantity: int, bought: int, sold: int, day: date = SINCE_APRIL_2026
) -> Charges:
    fills = [
        ChargedFill(day, Side.BUY, quantity * bought * 100),
        ChargedFill(day, Side.SELL, quantity * sold * 100),
    ]
    return trade_charges(load_charges(), segment, fills)


def lines(charges: Charges) -> tuple[int, ...]:
    """Brokerage, STT, transaction, SEBI, stamp, GST, total without the depository."""
    return (
        charges.brokerage_paise,
        charges.stt_paise,
        charges.transaction_paise,
        charges.sebi_paise,
        charges.stamp_paise,
        charges.gst_paise,
        charges.total_paise - charges.depository_paise,
    )


@pytest.mark.parametrize(
    ("segment", "quantity", "bought", "sold", "expected"),
    [
        (ChargeSegment.INTRADAY, 100, 1000, 1010, (4000, 2500, 617, 20, 300, 835, 8272)),
        (ChargeSegment.DELIVERY, 100, 1000, 1010, (0, 20100, 617, 20, 1500, 115, 22352)),
        (ChargeSegment.FUTURES, 65, 25000, 25100, (4000, 81600, 5959, 326, 3300, 1851, 97036)),
        (ChargeSegment.OPTIONS, 65, 150, 180, (4000, 1800, 762, 2, 0, 858, 7422)),
    ],
)
def test_worked_examples_to_the_paisa(
    segment: ChargeSegment, quantity: int, bought: int, sold: int, expected: tuple[int, ...]
) -> None:
    assert lines(round_trip(segment, quantity, bought, sold)) == expected


def test_delivery_sale_pays_the_depository_with_tax() -> None:
    charges = round_trip(ChargeSegment.DELIVERY, 100, 1000, 1010)
    assert charges.depository_paise == 1475
    assert 100_000 - charges.total_paise == 76_173


def test_option_of_2025_paid_the_rates_of_its_day() -> None:
    charges = round_trip(ChargeSegment.OPTIONS, 75, 150, 180, IN_2025)
    assert lines(charges) == (4000, 1400, 867, 2, 0, 879, 7160)
    assert charges.ipft_paise == 12


def test_future_before_april_2026_paid_two_fifths_of_the_tax() -> None:
    assert round_trip(ChargeSegment.FUTURES, 65, 25000, 25100, IN_2025).stt_paise == 32_600


def test_overnight_trade_is_billed_day_by_day() -> None:
    buy = ChargedFill(date(2026, 3, 31), Side.BUY, 162_500_000)
    sell = ChargedFill(date(2026, 4, 1), Side.SELL, 163_150_000)
    model = load_charges()
    both = trade_charges(model, ChargeSegment.FUTURES, [sell, buy])
    assert both == trade_charges(model, ChargeSegment.FUTURES, [buy]) + trade_charges(
        model, ChargeSegment.FUTURES, [sell]
    )
    assert both.stt_paise == 81_600


def test_settled_option_pays_exercise_tax_and_no_order() -> None:
    fills = [
        ChargedFill(IN_2025, Side.BUY, 1_000_000),
        ChargedFill(IN_2025, Side.SELL, 4_000_000, is_settlement=True),
    ]
    charges = trade_charges(load_charges(), ChargeSegment.OPTIONS, fills)
    assert charges.brokerage_paise == 2_000
    assert charges.stt_paise == 5_000


def test_no_fill_costs_nothing() -> None:
    assert trade_charges(load_charges(), ChargeSegment.FUTURES, []) == Charges()


def test_day_before_the_table_is_refused_with_the_remedy() -> None:
    rate = ChargeRate(Component.BROKERAGE, ChargeSegment.FUTURES, date(2025, 1, 1), 1)
    model = ChargeModel((rate,), 18, 0, "test")
    with pytest.raises(GapFault, match=r"charges\.yaml knows no BROKERAGE rate of FUTURES on 2024-12-31"):
        trade_charges(model, ChargeSegment.FUTURES, [ChargedFill(date(2024, 12, 31), Side.BUY, 1)])


@pytest.mark.parametrize(
    ("category", "product", "segment"),
    [
        (Category.NSE_EQ, Product.CNC, ChargeSegment.DELIVERY),
        (Category.NSE_EQ, Product.MTF, ChargeSegment.MTF),
        (Category.NSE_EQ, Product.INTRADAY, ChargeSegment.INTRADAY),
        (Category.INDEX_FUT, Product.MARGIN, ChargeSegment.FUTURES),
        (Category.STOCK_OPT, Product.INTRADAY, ChargeSegment.OPTIONS),
    ],
)
def test_segment_of_a_trade(category: Category, product: Product, segment: ChargeSegment) -> None:
    assert charge_segment(category, product) is segment
