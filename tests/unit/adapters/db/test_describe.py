import pytest

from adapters.db.describe import describe_table, name_unit
from propdesk.core.errors import DataFault


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("net_pnl_paise", "INR in paise: 100 paise are one rupee"),
        ("targets_paise", "INR in paise: 100 paise are one rupee"),
        ("mae_r", "multiples of R, the idea's risk from fill to stop"),
        ("return_ratio", "fraction: 0.15 is 15 %"),
        ("received_at", "moment, kept in UTC"),
        ("trade_date", "day of the IST calendar"),
        ("advisor_id", None),
        ("lots", None),
    ],
)
def test_the_ending_of_a_name_tells_the_unit(column: str, unit: str | None) -> None:
    assert name_unit(column) == unit


def test_a_table_is_described_in_its_order_with_keys_and_units() -> None:
    columns = {column.name: column for column in describe_table("research.trades")}
    assert list(columns)[:2] == ["trade_date", "trade_id"]
    assert columns["trade_id"].is_key
    assert columns["net_pnl_paise"].unit == name_unit("net_pnl_paise")


def test_an_unknown_table_is_a_fault() -> None:
    with pytest.raises(DataFault, match=r"There is no table research\.nothing"):
        describe_table("research.nothing")
