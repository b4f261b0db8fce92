"""The page of the ground truth report says what was found and asks nothing of other machines."""

import json
import re

import pytest

from adapters.truth_sheet import render
from propdesk.sim.truth import World
from propdesk.sim.truth_summary import summarise
from tests.support.truth import figures_of

SUMMARY = summarise(
    [figures_of(1, taken=60), figures_of(2, taken=50), figures_of(1, World.NO_SKILL, eligible=[1, 1])]
)
PAGE = render(SUMMARY, {"market": "a </script> & b"})


def test_nothing_is_fetched_from_elsewhere_and_texts_are_escaped() -> None:
    assert re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", PAGE) == []
    assert "a &lt;/script&gt; &amp; b" in PAGE


def test_every_picture_has_its_place_and_both_profiles() -> None:
    held = re.search(r'<script type="application/json" id="figures">(.*?)</script>', PAGE, re.DOTALL)
    assert held is not None
    found = json.loads(held[1])
    assert set(re.findall(r"<div class=plot id=(\w+)>", PAGE)) == set(found)
    assert [trace["name"] for trace in found["power"]["data"]] == ["original", "desk"]
    assert found["power"]["data"][1]["y"][1] == pytest.approx(55.0)
    assert found["nulls"]["data"][1]["y"] == [1.0]


def test_a_condition_that_fails_is_shouted_and_one_not_judged_says_so() -> None:
    assert PAGE.count("<td>NO</td>") == 1
    assert PAGE.count("<td>not judged</td>") == 1
