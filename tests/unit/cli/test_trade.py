import pytest

from cli.trade import idea_text, order_state

OPTION = {
    "advisor_id": "ADV003",
    "side": "BUY",
    "category": "STOCK_OPT",
    "symbol": "GIRICEM",
    "expiry": "2025-07-31",
    "strike": "4100.00",
    "option_type": "PE",
    "entry_type": "LIMIT",
    "entry_low": "122.20",
    "entry_high": "122.20",
    "stoploss": "109.65",
    "targets": "130|141.55",
    "period": "INTRADAY",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            "ADV003: BUY STOCK_OPT GIRICEM 2025-07-31 4100.00 PE, LIMIT 122.20, stop 109.65, "
            "targets 130|141.55, INTRADAY",
        ),
        (
            {"entry_type": "RANGE", "entry_high": "125", "stoploss": None, "targets": "", "period": None},
            "ADV003: BUY STOCK_OPT GIRICEM 2025-07-31 4100.00 PE, RANGE 122.20 to 125, no stop, no target",
        ),
        (
            {"category": "NSE_EQ", "expiry": "", "strike": "", "option_type": "", "entry_type": "MARKET",
             "entry_low": None, "entry_high": None},
            "ADV003: BUY NSE_EQ GIRICEM, MARKET, stop 109.65, targets 130|141.55, INTRADAY",
        ),
    ],
)  # fmt: skip
def test_an_idea_is_one_line_in_the_advisors_figures(changes: dict[str, object], words: str) -> None:
    assert idea_text({**OPTION, **changes}) == words


@pytest.mark.parametrize(
    ("state", "leg_state", "expected"),
    [
        ("WORKING", "OPEN", "WORKING"),
        ("WORKING", "CLOSED", "DONE"),
        ("WORKING", "CANCELLED", "DONE"),
        ("REJECTED", "CANCELLED", "REJECTED"),
    ],
)
def test_an_order_the_broker_took_works_until_its_leg_is_over(
    state: str, leg_state: str, expected: str
) -> None:
    legs = [
        {"group_id": "g", "leg_number": 1, "state": leg_state},
        {"group_id": "g", "leg_number": 2, "state": "OPEN" if leg_state == "CLOSED" else "CLOSED"},
    ]
    assert order_state({"group_id": "g", "leg_number": 1, "state": state}, legs) == expected
