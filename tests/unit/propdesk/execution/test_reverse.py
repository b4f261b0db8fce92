import pytest

from propdesk.execution.reverse import TradePlan, reverse_plan
from propdesk.model.enums import EntryType, Side


def plan(
    side: Side = Side.BUY,
    kind: EntryType = EntryType.LIMIT,
    stop: int | None = 11_000,
    targets: tuple[int, ...] = (14_200, 17_100),
) -> TradePlan:
    price = None if kind is EntryType.MARKET else 12_700
    return TradePlan(side, kind, price, price, stop, targets)


def test_levels_swap_and_the_entry_happens_at_the_same_event() -> None:
    flipped = reverse_plan(plan(), reference_paise=12_700, tick_paise=5)
    assert flipped == TradePlan(Side.SELL, EntryType.STOP, 12_700, 12_700, 14_200, (11_000,))


@pytest.mark.parametrize("kind", list(EntryType))
@pytest.mark.parametrize("side", list(Side))
def test_twice_reversed_is_the_idea_with_its_nearest_target(side: Side, kind: EntryType) -> None:
    stop, target = (11_000, 14_200) if side is Side.BUY else (14_200, 11_000)
    idea = plan(side, kind, stop, (target,))
    once = reverse_plan(idea, reference_paise=12_700, tick_paise=5)
    assert once is not None
    assert reverse_plan(once, reference_paise=12_700, tick_paise=5) == idea


def test_without_a_target_there_is_no_stop_and_no_trade() -> None:
    assert reverse_plan(plan(targets=()), reference_paise=12_700, tick_paise=5) is None


def test_without_a_stop_there_is_no_target() -> None:
    flipped = reverse_plan(plan(stop=None), reference_paise=12_700, tick_paise=5)
    assert flipped is not None
    assert flipped.targets_paise == ()


def test_levels_lie_at_most_thirty_percent_from_the_entry_on_tick() -> None:
    flipped = reverse_plan(plan(stop=5_000, targets=(20_000,)), reference_paise=1, tick_paise=50)
    assert flipped is not None
    assert flipped.stop_paise == 16_500
    assert flipped.targets_paise == (8_900,)
