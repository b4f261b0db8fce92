"""Whether what is drawn is what was judged."""

from typing import Any

import pytest

from adapters.db.repos.cells import TRADES_MAX
from web.ui.curves import differs

TRADE: Any = object()


@pytest.mark.parametrize("judged", [0, 3, TRADES_MAX, TRADES_MAX + 500])
def test_the_trades_that_were_judged_are_drawn_without_a_word(judged: int) -> None:
    assert differs([TRADE] * min(judged, TRADES_MAX), judged) == ""


@pytest.mark.parametrize("drawn", [2, 4])
def test_other_trades_are_named(drawn: int) -> None:
    assert f"The {drawn} trades below are not the 3 that were judged" in differs([TRADE] * drawn, 3)
