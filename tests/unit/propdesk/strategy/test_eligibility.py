from datetime import date

import pytest

from propdesk.model.enums import Category, Period, Product, Side
from propdesk.strategy.eligibility import choose_product, is_multi_leg

DAY = date(2025, 7, 1)


@pytest.mark.parametrize(
    ("category", "period", "side", "series", "expected"),
    [
        (Category.NSE_EQ, Period.INTRADAY, Side.SELL, "EQ", Product.INTRADAY),
        (Category.NSE_EQ, Period.SWING, Side.BUY, "EQ", Product.CNC),
        (Category.NSE_EQ, Period.SWING, Side.SELL, "EQ", "UNSHORTABLE"),
        (Category.NSE_EQ, Period.INTRADAY, Side.BUY, "BE", "TRADE_FOR_TRADE"),
        (Category.NSE_EQ, Period.INTRADAY, Side.BUY, "ST", "TRADE_FOR_TRADE"),
        (Category.NSE_EQ, Period.SWING, Side.BUY, "BE", Product.CNC),
        (Category.NSE_EQ, Period.SWING, Side.SELL, "BE", "UNSHORTABLE"),
        (Category.INDEX_FUT, Period.SWING, Side.SELL, "", Product.MARGIN),
        (Category.STOCK_OPT, Period.INTRADAY, Side.SELL, "", Product.INTRADAY),
    ],
)
def test_product_or_the_reason_for_none(
    category: Category, period: Period, side: Side, series: str, expected: Product | str
) -> None:
    assert choose_product(category, period, side, series, DAY) == expected


@pytest.mark.parametrize(("group_key", "expected"), [(None, False), ("pair", True)])
def test_an_idea_with_a_group_key_is_one_leg_of_several(group_key: str | None, expected: bool) -> None:
    assert is_multi_leg(group_key) is expected
