"""``skill`` as a person calls it, on tables of steps 5 to 8."""

import json
from datetime import date
from typing import Any

import pytest

from cli.main import main
from cli.output import EXIT_BAD_INPUT, EXIT_OK
from tests.support.rule_database import load
from tests.support.rule_frames import make_frames

pytestmark = pytest.mark.integration

FRAMES = make_frames(
    seed=9, last=date(2025, 4, 30), per_day=40, advisors=6, edge={1: 0.25, 2: 0.15, 3: -0.25}
)
DAYS = FRAMES.days[-2:]


@pytest.fixture
def desk(pg_role_urls: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Give a database of six advisors, two of them skilled, which commands may only read."""
    monkeypatch.setenv("PROPDESK_POSTGRES_URL", pg_role_urls["owner"])
    monkeypatch.setenv("PROPDESK_POSTGRES_READER_URL", pg_role_urls["reader"])
    monkeypatch.setenv("PROPDESK_SIZE_MODEL", "analytical")
    return pg_role_urls


def call(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["skill", *words, "--json"]) == EXIT_OK
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_advisors_and_desk_are_judged(desk: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["skill", "advisors"]) == EXIT_BAD_INPUT
    assert "no group metrics yet" in capsys.readouterr().err
    load(desk["owner"], FRAMES, DAYS)

    told = call(capsys, "advisors")
    assert told["as_of_date"] == str(DAYS[1])
    rows = {row["advisor_id"]: row for row in told["advisors"]}
    assert [row["post_mean_r"] for row in told["advisors"]] == sorted(
        (row["post_mean_r"] for row in rows.values()), reverse=True
    )
    assert (rows["A01"]["stage"], rows["A03"]["stage"]) == ("LIVE", "OFF")
    assert rows["A03"]["reasons"]
    assert rows["A01"]["q_value"] < 0.01
    assert -100 < rows["A03"]["mdd_p95_pct"] < -1
    # what stands behind it is in the tables, whatever the day asked for
    before = call(capsys, "advisors", "--as-of", str(DAYS[0]))
    assert before["as_of_date"] == str(DAYS[0])
    assert before["advisors"] != told["advisors"]

    facts = call(capsys, "desk")
    assert facts["advisors_tested"] == 6
    assert facts["share_no_edge_pct"] + facts["share_positive_pct"] + facts["share_negative_pct"] == (
        pytest.approx(100.0)
    )
    assert sum(facts["stages"].values()) == 6
    assert "ADVISOR|A01" in {rule["rule_text"] for rule in facts["rules"]}
    strict = call(capsys, "desk", "--rate", "0.001")
    assert strict["named_by_q"] <= facts["named_by_q"]
    assert len(strict["rules"]) < len(facts["rules"])

    for words in (["advisors"], ["desk"]):
        assert main(["skill", *words]) == EXIT_OK
        shown = capsys.readouterr().out
        assert "A01" in shown
        assert str(DAYS[1]) in shown


def test_days_that_are_not_there_are_told(desk: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["skill", "desk", "--as-of", "2031-01-01"]) == EXIT_BAD_INPUT
    assert "propdesk backfill 2031-01-01 2031-01-01" in capsys.readouterr().err
    assert main(["skill", "desk", "--as-of", "yesterday"]) == EXIT_BAD_INPUT
    assert main(["skill", "advisors", "--rate", "7"]) == EXIT_BAD_INPUT
