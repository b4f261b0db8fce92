"""``skill`` as a person calls it, on tables of steps 5 to 8."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd
import psycopg
import pytest

from adapters.config_gates import load_gates
from adapters.db.frames.skill import read_gated_ideas
from cli.main import main
from cli.output import EXIT_BAD_INPUT, EXIT_OK
from propdesk.pipeline.groups import GroupConfig
from tests.support.rule_database import load, psycopg_url
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
    assert main(["skill", "copy"]) == EXIT_BAD_INPUT
    assert "no verified trades yet" in capsys.readouterr().err
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
    # all at once: the two skilled are named; without marts nothing says what the gates are worth
    assert facts["spa_p"] < 0.05
    assert {"A01", "A02"} <= set(facts["superior"])
    assert {"A03", "A04", "A05"}.isdisjoint(facts["superior"])
    assert (facts["pbo"], facts["pbo_gate_sets"]) == (None, 0)
    strict = call(capsys, "desk", "--rate", "0.001")
    assert strict["named_by_q"] <= facts["named_by_q"]
    assert len(strict["rules"]) < len(facts["rules"])

    for words in (["advisors"], ["desk"]):
        assert main(["skill", *words]) == EXIT_OK
        shown = capsys.readouterr().out
        assert "A01" in shown
        assert str(DAYS[1]) in shown


def test_what_was_tried_stays_tried(desk: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # the same again is no new trial
        load(desk["owner"], FRAMES, DAYS[1:])
        once = call(capsys, "desk")
        assert (once["settings_tried"], once["gate_tables_tried"]) == (1, 1)
        assert once["rules_tried"] > once["rules_judged"] > 6
    other = GroupConfig(minimum_trades=load_gates().minimum_trades(), window_days=60)
    load(desk["owner"], FRAMES, DAYS[1:], other)
    twice = call(capsys, "desk")
    assert twice["settings_tried"] == 2
    # a third, for an earlier day alone, counts from then on; on that day nobody had tried the two others
    load(desk["owner"], FRAMES, FRAMES.days[-3:-2], replace(other, window_days=75))
    assert call(capsys, "desk")["settings_tried"] == 1
    load(desk["owner"], FRAMES, DAYS[1:], other)
    thrice = call(capsys, "desk")
    assert thrice["settings_tried"] == 3
    assert thrice["rules_tried"] == twice["rules_tried"]
    assert thrice["n_trials_eff"] > twice["n_trials_eff"]
    assert twice["rules_tried"] > once["rules_tried"]
    assert twice["n_trials_eff"] > once["n_trials_eff"]
    with psycopg.connect(psycopg_url(desk["pipeline"])) as connection:
        for statement in (
            "DELETE FROM research.trial_ledger",
            "UPDATE research.trial_ledger SET rules_tried = 0",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


def test_gates_are_judged_by_the_ideas_that_followed(desk: dict[str, str]) -> None:
    load(desk["owner"], FRAMES, DAYS[1:])
    first, second = FRAMES.days[-6], FRAMES.days[-4]
    mini = "MINI|A01|INDEX_FUT|INTRADAY"
    with psycopg.connect(psycopg_url(desk["owner"])) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS marts")
        connection.execute(
            "CREATE TABLE marts.mini_rules (as_of_date date, rule_text text, level text, advisor_id text, "
            "category text, period text, profit_factor float, post_mean_r float, prob_edge float, "
            "advisor_q float, original_failed_gates text[], desk_failed_gates text[])"
        )
        for day, failed in ((first, ["mdd"]), (second, [])):
            connection.execute(
                "INSERT INTO marts.mini_rules "
                "VALUES (%s, %s, 'MINI', 'A01', 'INDEX_FUT', 'INTRADAY', 1.3, 0.2, 0.9, NULL, '{}', %s)",
                (day, mini, failed),
            )
        found = read_gated_ideas(connection, FRAMES.days[-2], 30)
        connection.execute("DROP TABLE marts.mini_rules")
        connection.commit()
    t = FRAMES.trades[FRAMES.trades["is_counted"] & FRAMES.trades["r_multiple"].notna()]
    t = t[(t["advisor_id"] == "A01") & (t["category"] == "INDEX_FUT") & (t["period"] == "INTRADAY")]
    # entered after the first verdict, over by the end of the day
    t = t[(t["trade_date"] > first) & (t["exit_date"] <= FRAMES.days[-2])].sort_values(
        ["trade_date", "trade_id"]
    )
    assert len(t) > 5
    assert found["trade_date"].tolist() == t["trade_date"].tolist()
    assert found["r_multiple"].tolist() == pytest.approx(t["r_multiple"].tolist())
    assert [list(gates) for gates in found["desk_failed_gates"]] == [
        ["mdd"] if day <= second else [] for day in t["trade_date"]
    ]
    assert set(found["category"]) == {"INDEX_FUT"}
    values = found[["profit_factor", "post_mean_r", "prob_edge"]].drop_duplicates()
    assert values.to_numpy().tolist() == [[1.3, 0.2, 0.9]]
    assert found["advisor_q"].isna().all()


def test_who_can_be_copied(desk: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    load(desk["owner"], FRAMES, DAYS)
    with psycopg.connect(psycopg_url(desk["owner"])) as connection:
        connection.execute(
            "INSERT INTO research.signal_flags (trade_date, signal_id, advisor_id, revision, claim_lag_s, "
            "moved_at_posting_r, moved_at_receipt_r, flags) SELECT trade_date, trade_id, advisor_id, 1, 45, "
            "0.1, 0.4, CASE advisor_id WHEN 'A02' THEN ARRAY['RECEIVED_AFTER_MOVE'] ELSE ARRAY[]::text[] END "
            "FROM research.trades"
        )
        connection.execute(
            "INSERT INTO research.outcome_audit SELECT trade_date, trade_id, 'Target 1', exit_reason, "
            "exit_reason = 'TARGET', 0.02 FROM research.trades WHERE advisor_id = 'A03'"
        )

    told = call(capsys, "copy", "--days", "60")
    assert (told["as_of_date"], told["days"]) == (str(DAYS[1]), 60)
    rows = {row["advisor_id"]: row for row in told["advisors"]}
    t = FRAMES.trades[
        pd.to_datetime(FRAMES.trades["trade_date"]) > pd.Timestamp(DAYS[1]) - pd.Timedelta(days=60)
    ]
    for name, ideas in t.groupby("advisor_id"):
        done = ideas[pd.to_datetime(ideas["exit_date"]) <= pd.Timestamp(DAYS[1])]
        assert rows[name]["ideas"] == len(ideas)
        assert rows[name]["net_r_per_idea"] == pytest.approx(done["r_multiple"].mean())
        assert rows[name]["delay_cost_r"] == pytest.approx(0.3)
        assert rows[name]["late_share_pct"] == (100.0 if name == "A02" else 0.0)
        assert rows[name]["capacity_inr"] == pytest.approx(500_000)
    assert [row["net_r_per_idea"] for row in told["advisors"]] == sorted(
        (row["net_r_per_idea"] for row in rows.values()), reverse=True
    )
    assert rows["A03"]["flattering_pct"] == pytest.approx(2.0)
    assert 0 < rows["A03"]["agreement_rate_pct"] < 100
    assert rows["A01"]["agreement_rate_pct"] is None

    assert main(["skill", "copy", "--as-of", str(DAYS[0])]) == EXIT_OK
    assert "Who can be copied" in capsys.readouterr().out


def test_days_that_are_not_there_are_told(desk: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["skill", "desk", "--as-of", "2031-01-01"]) == EXIT_BAD_INPUT
    assert "propdesk backfill 2031-01-01 2031-01-01" in capsys.readouterr().err
    assert main(["skill", "desk", "--as-of", "yesterday"]) == EXIT_BAD_INPUT
    assert main(["skill", "copy", "--as-of", "2031-01-01"]) == EXIT_BAD_INPUT
    assert "no verified trades" in capsys.readouterr().err
    assert main(["skill", "advisors", "--rate", "7"]) == EXIT_BAD_INPUT
