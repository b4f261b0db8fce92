"""Planted skill against found: order, separation, missing verdicts."""

import json
import math
from pathlib import Path

import pytest

from cli.planted import Found, Planted, compare, read_truth
from propdesk.core.errors import SchemaFault

TRUTH = [
    Planted("A", "LADDER", 0.30, True),
    Planted("B", "LADDER", 0.20, True),
    Planted("C", "LADDER", 0.0, True),
    Planted("D", "WRONG", -0.2, True),
]


def found(**values: float) -> dict[str, Found]:
    return {name: Found(400, value, 0.5) for name, value in values.items()}


def test_perfect_order_is_separated() -> None:
    verdict = compare(TRUTH, found(A=0.5, B=0.3, C=-0.1, D=-0.5))
    assert verdict.is_separated
    assert verdict.spearman == pytest.approx(1.0)
    assert [planted.advisor_id for planted, _ in verdict.rows] == ["A", "B", "C", "D"]


def test_a_lucky_one_above_a_skilled_one_is_told() -> None:
    verdict = compare(TRUTH, found(A=0.5, B=0.1, C=0.2, D=-0.5))
    assert not verdict.is_separated
    assert (verdict.lowest_skilled, verdict.highest_unskilled) == (0.1, 0.2)


def test_too_few_ideas_ask_for_no_verdict() -> None:
    verdict = compare(TRUTH, {**found(A=0.5, C=0.2), "B": Found(299, 0.1, 0.5)})
    assert verdict.is_separated


def test_an_advisor_without_verdict_stands_last() -> None:
    verdict = compare(TRUTH, found(C=0.2, D=0.1))
    assert [row[1] is None for row in verdict.rows] == [False, False, True, True]
    assert math.isnan(verdict.lowest_skilled)
    assert not verdict.is_separated
    assert math.isnan(verdict.spearman)


def test_the_truth_file_is_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "truth.json"
    row = {"advisor_id": "A", "kind": "DRIFTING", "points": 0.25, "mean_points": 0.12}
    file.write_text(json.dumps({"advisors": [row]}), encoding="utf-8")
    assert read_truth(file) == [Planted("A", "DRIFTING", 0.12, False)]
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(SchemaFault, match=r"truth\.json"):
        read_truth(file)
