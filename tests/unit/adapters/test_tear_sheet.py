"""The tear sheet is one file that says what was found and asks nothing of other machines."""

import json
import re
from typing import Any

import pytest

from adapters.tear_sheet import SUMMARY_ROWS, Sheet, render, summary_cells, what_compares
from propdesk.sim.books import Book
from propdesk.sim.results import DayOutcome, summarise
from tests.support.outcomes import make_days, make_trade

CAPITAL = 100_000_000


def days(*closings: int, **changes: Any) -> list[DayOutcome]:
    return make_days(*closings, capital=CAPITAL, **changes)


@pytest.fixture(scope="module")
def page() -> str:
    won, lost = make_trade(500_000), make_trade(-200_000, rule_text="<b>&", risk_paise=0, is_reverse=True)
    own = days(CAPITAL + 500_000, CAPITAL + 300_000, trades=(won, lost), decisions={"TRADED": 2})
    return render(
        Sheet(
            "Range </script><b>",
            {"capital": "1 & 2"},
            CAPITAL,
            {Book.DESK: own, Book.RANDOM: days(CAPITAL, CAPITAL - 7)},
        )
    )


def figures(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    read: dict[str, Any] = json.loads(found[1])
    return read


def test_nothing_is_fetched_from_elsewhere(page: str) -> None:
    assert "Plotly.newPlot" in page
    assert re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", page) == []


def test_every_figure_has_its_place_and_its_desks(page: str) -> None:
    found = figures(page)
    assert set(re.findall(r"<div class=plot id=(\w+)>", page)) == set(found)
    names = [trace["name"] for trace in found["drawdown"]["data"]]
    assert names == ["Desk profile", "Random advisors"]
    marked, booked = found["equity"]["data"][:2]
    assert marked["y"] == booked["y"] == [10.0, 10.05, 10.03]
    assert marked["x"] == ["2025-06-02T09:15", "2025-06-02T15:30", "2025-06-03T15:30"]


def test_a_sheet_says_by_what_a_baseline_compares_where_there_is_one(page: str) -> None:
    assert what_compares(Book) in page
    assert "mean R and Sharpe" in what_compares([Book.DESK, Book.RANDOM])
    assert what_compares([Book.DESK, Book.ORIGINAL]) == what_compares([Book.EVERYONE]) == ""


def test_words_of_others_are_text_not_markup(page: str) -> None:
    head, body = page.rsplit("<body>", 1)
    written = body.split('<script type="application/json"')[0]
    assert "<b>" not in written
    assert "</script>" not in written
    assert "<title>Range &lt;/script&gt;&lt;b&gt;</title>" in head
    assert "&lt;b&gt;&amp; (reversed)" in written
    assert "<dd>1 &amp; 2</dd>" in written


def test_what_is_undefined_is_a_dash_and_a_gap(page: str) -> None:
    assert "rolling" not in figures(page), "two days hold no window of twenty"
    month = days(*(CAPITAL + number % 2 for number in range(21)))
    rolling = figures(render(Sheet("", {}, CAPITAL, {Book.DESK: month})))["rolling"]["data"][0]
    assert len(rolling["x"]) == len(rolling["y"]) == 2
    cells = dict(zip(SUMMARY_ROWS, summary_cells(summarise(days(CAPITAL), CAPITAL)), strict=True))
    assert cells["Sharpe (± standard error)"] == cells["mean R"] == "–"
    assert cells["legs / won"] == "0 / –"
    won = summarise(days(CAPITAL + 90, trades=(make_trade(100),)), CAPITAL)
    assert dict(zip(SUMMARY_ROWS, summary_cells(won), strict=True))["profit factor"] == "∞"
