"""The tear sheet in a real browser: drawn without a network, readable on a phone."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from adapters.tear_sheet import Sheet, render
from propdesk.sim.books import Book
from tests.browser.conftest import Faults
from tests.support.outcomes import make_days, make_trade

pytestmark = pytest.mark.browser
CAPITAL = 100_000_000


@pytest.mark.parametrize("width", [1200, 390])
def test_every_figure_is_drawn_and_nothing_is_asked_of_others(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    closings = [CAPITAL + 100_000 * (number % 7) for number in range(40)]
    trades = tuple(make_trade(net) for net in (500_000, -200_000))
    desks = {
        book: make_days(*closings, capital=CAPITAL, trades=trades, decisions={"TRADED": 2}) for book in Book
    }
    path = tmp_path / "sheet.html"
    path.write_text(render(Sheet("Simulation", {"capital": "10 lakh"}, CAPITAL, desks)), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900})
    faults = Faults()
    faults.watch(page, path.as_uri())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("document.body.dataset.drawn === 'yes'")
    drawn = page.evaluate(
        "[...document.querySelectorAll('.plot')]"
        ".map(place => place.querySelectorAll('.scatterlayer .trace, .barlayer .trace').length)"
    )
    assert len(drawn) == 7
    assert min(drawn) >= 1, drawn
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert asked == [path.as_uri()]
    assert faults.said == []
    page.close()
