"""The sandbox's fills, summed by our legs."""

from cli.reconcile import Line, differences, truth_by_leg

ORDERS = [
    {"orderId": "1", "correlationId": "pA", "legName": "ENTRY_LEG"},
    {"orderId": "2", "correlationId": "pA", "legName": "TARGET_LEG"},
    {"orderId": "3", "correlationId": "pB", "legName": "ENTRY_LEG"},
    {"orderId": "9", "correlationId": "NA", "legName": "NA"},
]


def fill(order: str, quantity: int, price: float) -> dict[str, object]:
    return {"orderId": order, "tradedQuantity": quantity, "tradedPrice": price}


def test_slices_of_a_leg_are_one_line_and_averages_round_halves_up() -> None:
    fills = [fill("1", 1, 100.0), fill("3", 1, 100.05), fill("2", 1, 101.1)]
    legs = {"pA": "s/1", "pB": "s/1"}
    assert truth_by_leg(ORDERS, fills, legs) == {"s/1": (2, 10_003, 1, 10_110)}


def test_what_is_not_ours_stands_for_itself() -> None:
    fills = [fill("9", 5, 99.5), fill("3", 2, 50.0)]
    assert truth_by_leg(ORDERS, fills, {}) == {"NA 9": (0, 0, 5, 9_950), "pB 3": (2, 5_000, 0, 0)}


def test_nothing_traded_is_no_line() -> None:
    assert truth_by_leg(ORDERS, [], {"pA": "s/1"}) == {}


def test_a_leg_differs_where_one_number_does() -> None:
    same = Line("a", "NSE_EQ:TCS", (1, 2, 3, 4), (1, 2, 3, 4))
    other = Line("b", "NSE_EQ:TCS", (1, 2, 3, 4), (1, 2, 3, 5))
    assert differences([same, other]) == [other]
    assert "3, 5" in str(other)
