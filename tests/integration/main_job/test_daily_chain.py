"""The daily chain over days with open trades, and the pipeline with its future deleted."""

import subprocess
from datetime import date
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from psycopg import sql

from adapters.db.engine import psycopg_dsn
from adapters.settings import CLONE_ROOT, DatabaseRole, Settings
from tests.support.daily_chain import ALONE, DAILY, DAYS, FULL, KNOWN, RANGE
from tests.support.desk_settings import desk_settings
from tests.support.main_job import environment
from tests.support.warm import warm_python

LIMIT_S = 540
BY_TRADE_DATE = (
    "raw.raw_signals", "raw.quarantine", "research.validated_signals", "research.followups",
    "research.normalised_signals", "research.resolved_signals", "ref.regimes",
)  # fmt: skip
AS_OF = (
    "research.corpus_replays", "research.equity_curves", "research.group_metrics", "research.thin_groups",
    "marts.rules_6d", "marts.mini_rules", "marts.adverse_rules", "marts.eligible_rules",
    "marts.rule_changes", "marts.advisor_leaderboard",
)  # fmt: skip

pytestmark = [pytest.mark.integration, pytest.mark.slow]

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def settings(pg_role_urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return desk_settings(tmp_path_factory.mktemp("chain") / "home", pg_role_urls)


@pytest.fixture(scope="module")
def stages(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tables]:
    """Play the scenario once; every test compares its stages."""
    folder = tmp_path_factory.mktemp("stages")
    done = subprocess.run(
        [*warm_python(), "-m", "tests.support.daily_chain", str(folder)],
        cwd=CLONE_ROOT, env=environment(settings), capture_output=True, text=True, timeout=LIMIT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6_000:]
    return {stage: read_tables(folder / stage) for stage in (DAILY, RANGE, ALONE, FULL)}


def read_tables(folder: Path) -> Tables:
    return {
        path.stem: pd.read_csv(path, dtype=str, keep_default_na=False)
        for path in sorted(folder.glob("*.csv"))
    }


def until(frame: pd.DataFrame, column: str, last: date = KNOWN) -> pd.DataFrame:
    """Rows whose day is not after ``last``; ISO dates compare as texts."""
    return frame[frame[column] <= str(last)].reset_index(drop=True)


def test_three_daily_runs_equal_one_range_byte_for_byte(stages: dict[str, Tables]) -> None:
    daily, ranged = stages[DAILY], stages[RANGE]
    assert set(daily) == set(ranged)
    for name in daily:
        pd.testing.assert_frame_equal(daily[name], ranged[name], obj=name)
    for name in (
        *BY_TRADE_DATE[:1],
        *BY_TRADE_DATE[2:],
        *AS_OF[:3],
        "marts.mini_rules",
        "research.quality_results",
    ):
        assert len(daily[name]), name


def test_each_day_keeps_the_coverage_of_its_prices(stages: dict[str, Tables]) -> None:
    found = stages[FULL]["research.quality_results"]
    found = found[found["asset"] == "price_store"].set_index(["partition_date", "expectation"])
    for day in DAYS:
        assert int(found.loc[(str(day), "day_has_prices"), "count_rows"]) > 0
        needed = found.loc[(str(day), "needed_series_have_prices")]
        assert int(needed["count_rows"]) > 0
        assert needed["success"] == str(needed["count_unexpected"] == "0").lower()


def test_each_day_by_itself_equals_the_range_byte_for_byte(stages: dict[str, Tables]) -> None:
    alone, ranged = stages[ALONE], stages[RANGE]
    assert set(alone) == set(ranged)
    for name in alone:
        pd.testing.assert_frame_equal(alone[name], ranged[name], obj=name)
    signals = alone["research.resolved_signals"].set_index("source_message_id")
    posts = signals.loc[["post-1", "post-2", "post-3"], ["trade_date", "duplicate_of"]]
    assert posts.values.tolist() == [
        [str(DAYS[1]), ""], [str(DAYS[1]), signals.loc["post-1", "signal_id"]], [str(DAYS[2]), ""],
    ]  # fmt: skip
    trades = alone["research.trades"]
    legs = trades[trades["group_key"] == "pair"]
    assert legs["trade_date"].tolist() == [str(DAYS[1]), str(DAYS[2])]
    assert legs["product_reason"].tolist() == ["MULTI_LEG"] * 2


@pytest.mark.parametrize("role", ["daemon", "reader"])
def test_who_reads_the_rules_reads_every_mart(
    settings: Settings, stages: dict[str, Tables], role: DatabaseRole
) -> None:
    """A mart is a table or a view of one elsewhere; either must be open to the roles that do not own it."""
    marts = {name for name in stages[FULL] if name.startswith("marts.")}
    assert marts >= {name for name in AS_OF if name.startswith("marts.")}
    with psycopg.connect(psycopg_dsn(settings.database_url(role))) as connection:
        for name in marts:
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*name.split(".")))
            found = connection.execute(query).fetchone()
            assert found == (len(stages[FULL][name]),), name


def test_a_trade_of_the_first_day_is_worked_out_again_until_it_ends(stages: dict[str, Tables]) -> None:
    trades = stages[DAILY]["research.trades"]
    row = trades[trades["underlying"] == "ACME"].iloc[0]
    assert (row["trade_date"], row["entry_date"]) == (str(DAYS[0]), str(DAYS[0]))
    assert (row["exit_date"], row["exit_reason"]) == (str(DAYS[2]), "TARGET")
    marks = stages[DAILY]["research.trade_marks"]
    assert marks[marks["trade_id"] == row["trade_id"]]["mark_date"].tolist() == [str(d) for d in DAYS[:2]]
    facts = stages[DAILY]["research.group_metrics"]
    found = facts[facts["rule_text"] == "ADVISOR|A1"].set_index("as_of_date")
    # until then it is one of the open ideas, which alone make no row
    assert found[["n", "n_open"]].to_dict("index") == {str(DAYS[2]): {"n": "1", "n_open": "4"}}
    replays = stages[DAILY]["research.corpus_replays"]
    open_ones = replays[replays["rule_text"] == "ADVISOR|A1"].set_index("as_of_date")["open_at_end"]
    assert open_ones.to_dict() == {str(d): n for d, n in zip(DAYS[:3], ("4", "5", "4"), strict=True)}


def test_a_correction_of_an_earlier_day_is_computed_with_what_it_touched(stages: dict[str, Tables]) -> None:
    signals = stages[DAILY]["research.resolved_signals"]
    corrected = signals[signals["source_message_id"] == "dusk-1-2"]
    assert corrected[["trade_date", "stoploss_paise", "revision"]].values.tolist() == [
        [str(DAYS[1]), "9800", "2"]
    ]


def test_what_the_later_days_bring_is_there(stages: dict[str, Tables]) -> None:
    """Otherwise the next test would show nothing."""
    trades = stages[FULL]["research.trades"].set_index("underlying")
    ends = trades.drop("DUSK")[["exit_reason", "exit_date", "unsettled_date"]]
    assert ends.to_dict("index") == {
        "ACME": {"exit_reason": "TARGET", "exit_date": str(DAYS[2]), "unsettled_date": ""},
        "BOLT": {"exit_reason": "INCOMPLETE", "exit_date": "", "unsettled_date": str(DAYS[4])},
        "CITY": {"exit_reason": "FOLLOWUP_EXIT", "exit_date": str(DAYS[3]), "unsettled_date": ""},
        "EAST": {"exit_reason": "UNDETERMINED", "exit_date": "", "unsettled_date": str(DAYS[3])},
        "FUND": {"exit_reason": "INCOMPLETE", "exit_date": "", "unsettled_date": str(DAYS[4])},
        "GOLD": {"exit_reason": "TARGET", "exit_date": str(DAYS[4]), "unsettled_date": ""},
    }
    facts = stages[FULL]["research.group_metrics"]
    found = facts[facts["rule_text"] == "ADVISOR|A1"].set_index("as_of_date")[["n", "n_open", "n_unsettled"]]
    assert found.apply(tuple, axis=1).to_dict() == {
        str(DAYS[2]): ("1", "4", "0"),
        str(DAYS[3]): ("2", "2", "1"),
        str(DAYS[4]): ("2", "0", "3"),
        str(DAYS[5]): ("2", "0", "3"),
    }


def test_deleting_the_future_changes_nothing_that_was_known(stages: dict[str, Tables]) -> None:
    known, full = stages[RANGE], stages[FULL]
    for name in BY_TRADE_DATE:
        pd.testing.assert_frame_equal(until(full[name], "trade_date"), known[name], obj=name)
    for name in AS_OF:
        pd.testing.assert_frame_equal(until(full[name], "as_of_date"), known[name], obj=name)
    marks = until(full["research.trade_marks"], "mark_date")
    pd.testing.assert_frame_equal(marks, known["research.trade_marks"])


def test_an_outcome_that_was_known_stays_and_one_that_was_not_came_later(stages: dict[str, Tables]) -> None:
    key = ["trade_date", "trade_id"]
    then, now = (until(stages[s]["research.trades"], "trade_date").set_index(key) for s in (RANGE, FULL))
    assert then.index.equals(now.index)
    was_open = then["exit_reason"] == "OPEN"
    assert was_open.sum() == 5
    pd.testing.assert_frame_equal(then[~was_open], now[~was_open])
    assert ((now["exit_date"] + now["unsettled_date"])[was_open] > str(KNOWN)).all()
    entry = ["entry_at", "entry_date", "entry_paise", "quantity", "margin_paise", "is_counted"]
    pd.testing.assert_frame_equal(then.loc[was_open, entry], now.loc[was_open, entry])
    for table in ("research.excursions", "research.trade_legs", "research.outcome_audit"):
        a, b = (stages[s][table].set_index(key) for s in (RANGE, FULL))
        settled = then.index[~was_open]
        pd.testing.assert_frame_equal(a[a.index.isin(settled)], b[b.index.isin(settled)], obj=table)
