from datetime import date

import pytest

from adapters.config_files import load_margins
from propdesk.core.errors import GapFault, InvariantViolated
from propdesk.model.enums import Category, Product, Side
from propdesk.risk.margin import MarginKind, MarginModel, MarginRate, margin_per_lot_paise, product_of

DAY = date(2025, 6, 2)


def margin(category: Category, side: Side = Side.BUY, **changes: object) -> int:
    terms: dict[str, object] = {
        "category": category,
        "product": Product.MARGIN,
        "side": side,
        "day": DAY,
        "price_paise": 10_000,
        "underlying_paise": 2_500_000,
        "lot_size": 75,
        "days_to_expiry": 10,
    }
    return margin_per_lot_paise(load_margins(), **{**terms, **changes})  # type: ignore[arg-type]


def test_delivery_is_paid_in_full_and_intraday_by_a_fifth() -> None:
    cash = {"lot_size": 1, "days_to_expiry": None}
    assert margin(Category.NSE_EQ, product=Product.CNC, **cash) == 10_000
    assert margin(Category.NSE_EQ, product=Product.INTRADAY, **cash) == 2_000
    assert margin(Category.NSE_EQ, product=Product.MTF, **cash) == 4_000


def test_bought_option_blocks_its_premium_sold_one_its_underlying() -> None:
    assert margin(Category.INDEX_OPT) == 750_000
    assert margin(Category.INDEX_OPT, Side.SELL) == 22_500_000
    assert margin(Category.STOCK_OPT, Side.SELL) == 37_500_000


def test_sold_index_option_steps_up_on_its_expiry_since_november_2024() -> None:
    assert margin(Category.INDEX_OPT, Side.SELL, days_to_expiry=0) == 26_250_000
    before = date(2024, 11, 19)
    assert margin(Category.INDEX_OPT, Side.SELL, days_to_expiry=0, day=before) == 22_500_000


@pytest.mark.parametrize(("days", "share"), [(5, 200), (4, 230), (3, 275), (2, 335), (1, 410), (0, 200)])
def test_stock_future_steps_up_towards_delivery(days: int, share: int) -> None:
    assert margin(Category.STOCK_FUT, price_paise=1_000, lot_size=1, days_to_expiry=days) == share


def test_margin_is_rounded_up() -> None:
    assert margin(Category.INDEX_FUT, price_paise=1, lot_size=1) == 1


def test_sold_option_without_its_underlying_breaks_a_promise() -> None:
    with pytest.raises(InvariantViolated):
        margin(Category.INDEX_OPT, Side.SELL, underlying_paise=None)


def test_day_before_the_table_names_the_file() -> None:
    model = MarginModel((MarginRate(MarginKind.CNC, DAY, 1_000_000),), (), "test")
    with pytest.raises(GapFault, match=r"margins\.yaml knows no CNC margin on 2025-06-01"):
        model.share_ppm(MarginKind.CNC, date(2025, 6, 1))


def test_product_follows_period_and_category() -> None:
    assert product_of(Category.NSE_EQ, True) is Product.INTRADAY
    assert product_of(Category.NSE_EQ, False) is Product.CNC
    assert product_of(Category.STOCK_FUT, False) is Product.MARGIN
