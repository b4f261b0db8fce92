import pytest

from adapters.config_files import load_slippage
from propdesk.model.enums import Category
from propdesk.risk.slippage import slippage_per_unit_paise


@pytest.mark.parametrize(
    ("category", "share", "expected"),
    [
        (Category.NSE_EQ, 0.0, 15),
        (Category.NSE_EQ, 0.5, 65),
        (Category.NSE_EQ, 9.0, 115),
        (Category.NSE_EQ, None, 115),
        (Category.INDEX_FUT, 0.0, 5),
    ],
)
def test_half_spread_and_bounded_impact(category: Category, share: float | None, expected: int) -> None:
    assert slippage_per_unit_paise(load_slippage(), category, 100_000, share) == expected


def test_cheap_premiums_pay_at_least_one_paisa() -> None:
    assert slippage_per_unit_paise(load_slippage(), Category.INDEX_OPT, 5, 0.0) == 1
