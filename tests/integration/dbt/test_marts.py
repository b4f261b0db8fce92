"""The dbt project on a real PostgreSQL against the same figures in Python."""

import math
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from psycopg.rows import dict_row
from typer.testing import CliRunner

from adapters.config_gates import load_gates
from adapters.db.repos.rules import (
    adverse_values,
    count_adverse,
    gate_values,
    newest_as_of,
    read_adverse_funnel,
    read_funnel,
    read_leaderboard,
    read_rules,
    why_rule,
)
from adapters.db.repos.rulesets import read_mart_ruleset, rule_to_json
from propdesk.core.errors import GapFault
from propdesk.metrics.expectancy import payoff_ratio, profit_factor, wilson_interval
from propdesk.metrics.recency import effective_size, recency_weights
from propdesk.metrics.trust import MIN_TRADES, trust
from propdesk.model.enums import Category, GateProfile, RuleLevel
from propdesk.pipeline.groups import GroupTables
from propdesk.pipeline.rule_tables import judge_rules, rulesets
from propdesk.rules.gates import ADVERSE_GATES, GATES, evaluate
from tests.support.rule_database import build_marts, load, psycopg_url, run_dbt
from tests.support.rule_frames import RuleFrames, make_frames

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FRAMES = make_frames(
    seed=9, last=date(2025, 4, 30), per_day=40, advisors=6, edge={1: 0.25, 2: 0.15, 3: -0.25}
)
DAYS = FRAMES.days[-6:]
LAST = DAYS[-1]
MARTS = (
    "rules_6d", "mini_rules", "adverse_rules", "eligible_rules", "advisor_leaderboard", "rule_changes",
)  # fmt: skip


def build(pg_url: str, home: Path, *ranges: tuple[date, date]) -> None:
    """Build ranges one after the other as step 9 does."""
    variables = [{"min_date": str(first), "max_date": str(last)} for first, last in ranges]
    assert build_marts(pg_url, home, *variables) == [None] * len(ranges)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dbt")


@pytest.fixture(scope="module")
def tables(pg_url: str, home: Path) -> GroupTables:
    """Step 8's tables and the first build of the marts, by dbt's own program: with its unit tests."""
    tables = load(pg_url, FRAMES, DAYS)
    done = run_dbt(pg_url, home, "build", "--vars", f'{{"min_date": "{DAYS[0]}", "max_date": "{LAST}"}}')
    assert done.returncode == 0, done.stdout[-4000:]
    assert "PASS=35 WARN=0 ERROR=0 SKIP=0" in done.stdout
    return tables


@pytest.fixture
def connection(pg_url: str, tables: GroupTables) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(psycopg_url(pg_url)) as connection:
        yield connection


def rows(connection: psycopg.Connection[Any], mart: str, day: date = LAST) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(f"SELECT * FROM marts.{mart} WHERE as_of_date = %s", (day,)).fetchall()


def everything(
    connection: psycopg.Connection[Any], before: date = date.max
) -> dict[str, list[tuple[Any, ...]]]:
    return {
        mart: connection.execute(
            f"SELECT t::text FROM marts.{mart} AS t WHERE as_of_date < %s ORDER BY t::text", (before,)
        ).fetchall()
        for mart in MARTS
    }


def closed_trades(frames: RuleFrames, day: date) -> pd.DataFrame:
    t = frames.trades[frames.trades["is_counted"] & frames.trades["exit_date"].notna()]
    inside = [
        day - timedelta(days=89) <= e <= day and x <= day
        for e, x in zip(t["entry_date"], t["exit_date"], strict=True)
    ]
    return t[inside]


def of_rule(trades: pd.DataFrame, row: dict[str, Any]) -> pd.DataFrame:
    for name in ("advisor_id", "category", "period", "regime", "weekday", "session"):
        if row.get(name) is not None:
            trades = trades[trades[name] == row[name]]
    return trades


@pytest.mark.parametrize("profile", list(GateProfile))
def test_verdicts_without_a_database_are_those_of_the_marts(
    connection: psycopg.Connection[Any], tables: GroupTables, profile: GateProfile
) -> None:
    gates = load_gates()
    found = dict(rulesets(judge_rules(tables, gates, MIN_TRADES), gates, profile))
    assert sorted(found) == list(DAYS)
    for day, own in found.items():
        stored = read_mart_ruleset(connection, day, profile)
        for mine, theirs in ((own.rules, stored.rules), (own.adverse, stored.adverse)):
            assert mine.keys() == theirs.keys()
            for key, rule in theirs.items():
                assert rule_to_json(mine[key]) == rule_to_json(rule)
        assert own.minimums == stored.minimums
    newest = found[LAST]
    assert any(rule.passes for rule in newest.rules.values()) or profile is GateProfile.ORIGINAL


@pytest.mark.parametrize("mart", ["advisor_leaderboard", "mini_rules", "rules_6d"])
def test_rates_equal_the_python_functions(connection: psycopg.Connection[Any], mart: str) -> None:
    trades = closed_trades(FRAMES, LAST)
    judged = [row for row in rows(connection, mart) if row["trades_executed"] is not None]
    assert len(judged) >= 6
    for row in judged:
        group = of_rule(trades, row).sort_values(["exit_at", "trade_id"])
        pnl = group["net_pnl_paise"].to_numpy(dtype=np.float64)
        ages = np.array([(LAST - day).days for day in group["exit_date"]], dtype=np.float64)
        wins = pnl > 0
        found = trust(ages, wins)
        weights = recency_weights(ages)
        low, high = wilson_interval(int(wins.sum()), len(group))
        r = group["r_multiple"].to_numpy()
        expected = {
            "n": len(group),
            "wins": int(wins.sum()),
            "win_rate_pct": 100 * found.win_rate,
            "weighted_win_rate_pct": 100 * found.win_rate_weighted,
            "win_rate_low_pct": 100 * low,
            "win_rate_high_pct": 100 * high,
            "n_eff": effective_size(weights),
            "divergence_pct": 100 * found.divergence,
            "divergence_z": found.z,
            "mean_return_pct": 100 * group["return_ratio"].mean(),
            "mean_r": r.mean(),
            "weighted_mean_r": np.average(r, weights=weights),
            "profit_factor": profit_factor(pnl),
            "weighted_profit_factor": profit_factor(pnl * weights),
            "payoff_ratio": payoff_ratio(pnl),
            "net_pnl_paise": pnl.sum(),
            "charges_paise": group["charges_paise"].sum(),
            "mean_holding_hours": group["holding_hours"].mean(),
        }
        for name, value in expected.items():
            actual = math.nan if row[name] is None else row[name]
            assert actual == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), (row["rule_text"], name)
        if row["trust_is_own"]:
            assert row["trust_flag"] == (found.flag.value if found.flag else None)
            assert row["trust_is_noise"] == found.is_noise


def test_thin_rule_reads_its_advisors_flag(connection: psycopg.Connection[Any]) -> None:
    leaders = {row["advisor_id"]: row for row in rows(connection, "advisor_leaderboard")}
    borrowed = [
        row
        for row in rows(connection, "mini_rules")
        if row["trades_executed"] is not None and not row["trust_is_own"]
    ]
    assert borrowed
    for row in borrowed:
        assert row["n"] < 30
        assert row["trust_flag"] == leaders[row["advisor_id"]]["trust_flag"]
        assert row["trust_is_noise"] == leaders[row["advisor_id"]]["trust_is_noise"]


@pytest.mark.parametrize("mart", ["mini_rules", "rules_6d"])
def test_verdicts_equal_the_python_gates(connection: psycopg.Connection[Any], mart: str) -> None:
    gates = load_gates()
    passing = dict.fromkeys(GateProfile, 0)
    for row in rows(connection, mart):
        for profile in GateProfile:
            asked = gates.rules[profile, RuleLevel(row["level"]), Category(row["category"])]
            results = evaluate(gate_values(row, profile), asked)
            failed = [gate.gate for gate in results if not gate.passed]
            if row["trades_executed"] is None:
                assert "min_trades" in failed
                failed = ["min_trades"]
            assert row[f"{profile.value}_failed_gates"] == failed
            assert row[f"{profile.value}_passes"] == (not failed)
            passing[profile] += not failed
        assert row["gates_version"] == gates.version
    assert passing[GateProfile.DESK] > 0


def test_adverse_verdicts_equal_the_python_gates(connection: psycopg.Connection[Any]) -> None:
    found = rows(connection, "adverse_rules")
    assert {row["advisor_id"] for row in found if row["desk_passes"]} == {"A03"}
    trades = closed_trades(FRAMES, LAST)
    for row in found:
        group = of_rule(trades, row)
        net = -group["gross_pnl_paise"] - group["slippage_paise"] - group["charges_paise"]
        assert row["reverse_net_pnl_paise"] == net.sum()
        early = np.array([day <= LAST - timedelta(days=45) for day in group["entry_date"]])
        assert row["first_half_net_pnl_paise"] == group["net_pnl_paise"][early].sum()
        assert row["second_half_net_pnl_paise"] == group["net_pnl_paise"][~early].sum()
        for profile in GateProfile:
            results = evaluate(adverse_values(row), load_gates().adverse[profile], ADVERSE_GATES)
            failed = [gate.gate for gate in results if not gate.passed]
            assert row[f"{profile.value}_failed_gates"] == failed


def test_comparisons_stand_in_the_table_as_in_the_code(connection: psycopg.Connection[Any]) -> None:
    known = {name: gate.comparison for name, gate in GATES.items()}
    known.update({f"adverse_{name}": gate.comparison for name, gate in ADVERSE_GATES.items()})
    stored = connection.execute("SELECT DISTINCT gate, comparison FROM ref.gate_thresholds").fetchall()
    assert dict(stored) == {name: known[name] for name, _ in stored}


def test_eligible_rules_are_the_passing_ones(connection: psycopg.Connection[Any]) -> None:
    eligible = {(row["profile"], row["rule_text"]) for row in rows(connection, "eligible_rules")}
    passing = {
        (profile.value, row["rule_text"])
        for mart in ("rules_6d", "mini_rules")
        for row in rows(connection, mart)
        for profile in GateProfile
        if row[f"{profile.value}_passes"]
    }
    assert eligible == passing


def test_changes_add_up_to_the_next_day(connection: psycopg.Connection[Any]) -> None:
    def eligible(day: date) -> set[tuple[str, str]]:
        return {(row["profile"], row["rule_text"]) for row in rows(connection, "eligible_rules", day)}

    for before, after in pairwise(DAYS):
        changes = rows(connection, "rule_changes", after)
        on = {(c["profile"], c["rule_text"]) for c in changes if c["change"] == "ON"}
        off = {(c["profile"], c["rule_text"]) for c in changes if c["change"] == "OFF"}
        assert all(c["gates"] for c in changes)
        assert (eligible(before) | on) - off == eligible(after)
        assert on.isdisjoint(eligible(before))


def test_repository_reads_what_stands_there(connection: psycopg.Connection[Any]) -> None:
    assert newest_as_of(connection) == LAST
    leaders = read_leaderboard(connection, LAST)
    assert [leader.rank for leader in leaders] == list(range(1, 7))
    assert leaders[0].advisor_id == "A01"
    rules = read_rules(connection, LAST, GateProfile.DESK)
    best = next(rule for rule in rules if rule.passes)
    verdict = why_rule(connection, best.rule_text, LAST)
    assert all(gate.passed for gate in verdict.gates[GateProfile.DESK])
    failed = {g.gate for g in verdict.gates[GateProfile.ORIGINAL] if not g.passed}
    row = next(r for r in read_rules(connection, LAST, GateProfile.ORIGINAL) if r.rule_text == best.rule_text)
    assert failed == set(row.failed_gates)
    funnel = read_funnel(connection, LAST, GateProfile.DESK)
    for line in funnel:
        assert line.failed == sum(line.gate in rule.failed_gates for rule in rules)
        assert line.failed_alone == sum(rule.failed_gates == [line.gate] for rule in rules)
    losing = rows(connection, "adverse_rules")
    assert count_adverse(connection, LAST, GateProfile.DESK) == (
        len(losing),
        sum(row["desk_passes"] for row in losing),
    )
    for line in read_adverse_funnel(connection, LAST, GateProfile.DESK):
        assert line.failed == sum(line.gate in row["desk_failed_gates"] for row in losing)
    for one in losing:
        against = why_rule(connection, one["rule_text"], LAST).adverse[GateProfile.DESK]
        assert [gate.gate for gate in against if not gate.passed] == one["desk_failed_gates"]
    assert not verdict.adverse[GateProfile.DESK]
    only = read_rules(connection, LAST, GateProfile.DESK, level=RuleLevel.MINI, eligible_only=True)
    assert only == [rule for rule in rules if rule.passes and rule.level == "MINI"]
    with pytest.raises(GapFault, match="no rule 'MINI"):
        why_rule(connection, "MINI|NOBODY|NSE_EQ|SWING", LAST)


def test_rebuilding_any_range_gives_the_same_bytes(
    connection: psycopg.Connection[Any], pg_url: str, home: Path
) -> None:
    before = everything(connection)
    connection.rollback()
    build(pg_url, home, (DAYS[2], DAYS[2]), (DAYS[0], LAST))
    assert everything(connection) == before


def test_marts_stand_still_until_they_are_built_again(
    connection: psycopg.Connection[Any],
) -> None:
    """Step 8 may have run again and step 9 not: nobody reads a mixture of both."""
    before = everything(connection)
    connection.execute("UPDATE research.thin_groups SET n = n + 1")
    connection.execute("DELETE FROM research.group_metrics")
    assert everything(connection) == before
    connection.rollback()


def test_a_build_leaves_unchanged_views_and_who_reads_them_alone(
    connection: psycopg.Connection[Any], pg_url: str, home: Path
) -> None:
    def views() -> list[tuple[Any, ...]]:
        return connection.execute(
            "SELECT c.oid, c.relname, c.relacl::text FROM pg_class c WHERE relkind = 'v' "
            "AND relnamespace IN ('marts'::regnamespace, 'staging'::regnamespace) ORDER BY relname"
        ).fetchall()

    connection.execute("GRANT SELECT ON marts.rules_6d TO public")
    connection.execute("CREATE VIEW public.of_a_person AS SELECT rule_text FROM marts.rules_6d")
    connection.commit()
    before = views()
    assert {"rules_6d", "mini_rules", "stg_group_metrics"} <= {name for _, name, _ in before}
    connection.rollback()
    with psycopg.connect(psycopg_url(pg_url)) as reader:
        reader.execute("SELECT count(*) FROM marts.rules_6d")  # and its transaction stays open
        build(pg_url, home, (LAST, LAST))
        assert reader.execute("SELECT count(*) FROM public.of_a_person").fetchone() is not None
    assert views() == before
    connection.execute("DROP VIEW public.of_a_person")
    connection.commit()


def test_a_changed_view_is_made_anew(connection: psycopg.Connection[Any], pg_url: str, home: Path) -> None:
    connection.execute("DROP VIEW staging.stg_group_metrics")
    connection.execute(
        "CREATE VIEW staging.stg_group_metrics AS SELECT * FROM research.group_metrics WHERE false"
    )
    connection.commit()
    build(pg_url, home, (LAST, LAST))
    ((count,),) = connection.execute("SELECT count(*) FROM staging.stg_group_metrics").fetchall()
    assert count > 0


def test_a_day_that_lost_its_rows_loses_them_in_the_marts(
    connection: psycopg.Connection[Any], pg_url: str, home: Path
) -> None:
    kept = everything(connection, LAST)
    for table in ("group_metrics", "thin_groups"):
        connection.execute(f"DELETE FROM research.{table} WHERE as_of_date = %s", (LAST,))
    connection.commit()
    build(pg_url, home, (LAST, LAST))
    for mart in MARTS:
        assert rows(connection, mart) == []
    assert everything(connection, LAST) == kept


@pytest.mark.parametrize(
    "variables",
    [
        '{"min_date": "2025-04-30 or true", "max_date": "2025-04-30"}',
        '{"min_date": "2025-04-30", "max_date": "2025-04-30", "trust_min_trades": "30; drop table x"}',
        '{"min_date": "2025-04-30", "max_date": "2025-04-30", "size_model": "x\'"}',
    ],
)
def test_variables_that_are_no_values_stop_the_build(
    pg_url: str, tables: GroupTables, home: Path, variables: str
) -> None:
    done = run_dbt(pg_url, home, "compile", "--vars", variables)
    assert done.returncode != 0
    assert "must be" in done.stdout


def payload_of_losing(pg_url: str, day: date) -> list[dict[str, Any]]:
    with psycopg.connect(psycopg_url(pg_url)) as connection:
        return rows(connection, "adverse_rules", day)


def test_commands_speak_json(pg_url: str, tables: GroupTables, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from cli.main import build as build_cli

    monkeypatch.setenv("PROPDESK_POSTGRES_URL", pg_url)
    runner = CliRunner()
    listed = runner.invoke(build_cli(), ["rules", "list", "--as-of", str(DAYS[1]), "--eligible", "--json"])
    assert listed.exit_code == 0, listed.output
    payload = json.loads(listed.stdout)
    assert payload["rules"]
    name = payload["rules"][0]["rule_text"]
    why = json.loads(
        runner.invoke(build_cli(), ["rules", "why", name, "--as-of", str(DAYS[1]), "--json"]).stdout
    )
    assert {gate["gate"] for gate in why["gates"]["desk"]} >= {"prob_edge", "mdd"}
    funnel = json.loads(
        runner.invoke(build_cli(), ["rules", "funnel", "--as-of", str(DAYS[1]), "--json"]).stdout
    )
    assert funnel["desk"]["pass"] == len(payload["rules"])
    assert "reverse_q" in {line["gate"] for line in funnel["desk"]["adverse"]["gates"]}
    # LAST has no rules any more: an earlier test takes its rows away.
    (against, *_) = [line["rule_text"] for line in payload_of_losing(pg_url, DAYS[1])]
    shown = runner.invoke(build_cli(), ["rules", "why", against, "--as-of", str(DAYS[1])])
    assert "against the advisor, profile desk" in " ".join(shown.stdout.split())
    with psycopg.connect(psycopg_url(pg_url)) as connection:
        by_day = {
            day: {
                (row["rule_text"], row["change"])
                for row in rows(connection, "rule_changes", day)
                if row["profile"] == "desk"
            }
            for day in DAYS[1:]
        }
    before, after = next(pair for pair in pairwise(DAYS) if by_day[pair[1]])
    changed = runner.invoke(build_cli(), ["rules", "diff", str(before), str(after), "--json"])
    assert changed.exit_code == 0, changed.output
    told, switched = json.loads(changed.stdout), by_day[after]
    assert switched == {
        (one["rule_text"], one["change"])
        for one in told["changes"]
        if one["change"] != "SHIFTED" and not one["is_adverse"]
    }
    analysed = runner.invoke(build_cli(), ["analyze", "corpus", "--desk", "--as-of", str(DAYS[1]), "--json"])
    assert analysed.exit_code == 0, analysed.output
    book = json.loads(analysed.stdout)["profiles"]["desk"]
    assert book["rules_eligible"] == len(payload["rules"])
    assert book["trades_executed"] + book["trades_skipped_capital"] == book["ideas_taken"] > 0
    assert len(book["daily_corpus"]) == len(book["days"])
    assert book["days"][-1] == str(DAYS[1])
    gone = runner.invoke(build_cli(), ["analyze", "corpus", "--desk", "--as-of", "2031-01-01"])
    assert isinstance(gone.exception, GapFault)
    both = runner.invoke(build_cli(), ["analyze", "corpus"])
    assert "either --trades FILE or --desk" in str(both.exception)
    skill = json.loads(runner.invoke(build_cli(), ["skill", "desk", "--json"]).stdout)
    assert skill["pbo"] is None  # six days of verdicts are too few to tell
    assert skill["pbo_gate_sets"] >= 2
    missing = runner.invoke(build_cli(), ["rules", "diff", str(DAYS[0]), "2031-01-01"])
    assert isinstance(missing.exception, GapFault)
    assert "there are no rules of 2031-01-01" in str(missing.exception)
    table = runner.invoke(build_cli(), ["advisors", "--as-of", str(DAYS[1])])
    assert "A01" in table.stdout
