"""What is drawn of an advisor."""

from typing import Any

import pytest

from web.ui.pages import advisors
from web.ui.widgets import Chart


def test_the_corpus_is_drawn_by_day_booked_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Chart] = []
    monkeypatch.setattr(advisors, "chart", drawn.append)
    curve: dict[str, Any] = {"daily_corpus_paise": [10_000, 9_000], "daily_marked_paise": [10_000, 8_000]}
    advisors._draw_curve(curve, 27)
    corpus, drawdown = drawn
    assert corpus.rows == [(1, 100.0, 100.0), (2, 90.0, 80.0)]
    assert "27 open then" in corpus.note
    assert drawdown.rows == [(1, 0.0, 0.0), (2, -10.0, -20.0)]
