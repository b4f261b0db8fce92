"""The main job on real prices: import, advisors, ingest, nine steps, rules, a replayed day."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.db.engine import psycopg_dsn
from adapters.settings import Settings
from propdesk.sim import advisors
from runtime.servers import ServerSet
from tests.support.desk_settings import desk_settings
from tests.support.main_job import Backfilled, Backfiller, run_command, settings_variables

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
FIRST, LAST = date(2021, 4, 5), date(2021, 6, 11)
LATE = date(2021, 6, 7)
"""First day of the range that is computed a second time."""
CLEAN_DAY = "2021-06-09"
OUTAGES = {date(2021, 4, 7): "10:34", date(2021, 5, 12): "13:45", date(2021, 6, 10): None}
"""Days of a long silence of the feed; where the feed stops for the day, from when on."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the real price data does not lie at {DATA}"),
]


@dataclass(frozen=True, slots=True)
class Chain:
    """What each part of the chain answered."""

    settings: Settings
    signals: Path
    imported: dict[str, Any]
    posted: dict[str, Any]
    taken: dict[str, Any]
    backfills: list[Backfilled]


@pytest.fixture(scope="module")
def settings(
    servers: ServerSet, pg_role_urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    return desk_settings(
        tmp_path_factory.mktemp("real") / "home",
        pg_role_urls,
        redis_url=servers.redis_url,
        mongo_url=servers.mongo_url,
        mongo_database="real_prices_chain",
    )


@pytest.fixture(scope="module")
def environment(settings: Settings) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings_variables(settings).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def chain(settings: Settings, environment: None) -> Chain:
    """Run the chain once; every test looks at one part of it."""
    folder = settings.home
    signals = folder / "signals.csv"
    with pytest.MonkeyPatch.context() as patch:
        # These tests do not look at the advisors' true skill, whose measuring is most of the work.
        patch.setattr(advisors, "_ODDS_DRAWS", 100)
        patch.setattr(advisors, "_TRUTH_DRAWS", 100)
        imported, posted = bring_in(settings, signals)
    code, taken = run_command("ingest", str(signals))
    assert code == 0
    with Backfiller(settings, folder / "backfill.log") as steps:
        backfills = [steps.run(FIRST, LAST), steps.run(LATE, LAST)]
    return Chain(settings, signals, imported, posted, taken, backfills)


def bring_in(settings: Settings, signals: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Import the prices and let advisors post on them."""
    code, imported = run_command(
        "prices", "import", *(str(DATA / n) for n in ("nse_1min_2021", "nifty_indiavix_daily")),
        str(DATA / "nse_equity_daily" / "daily_180.parquet"),
    )  # fmt: skip
    assert code == 0
    code, posted = run_command(
        "market", "advisors", "--on-prices", settings.price_store_url, "--out", str(signals), "--seed", "7",
        "--per-day", "60", "--first", FIRST.isoformat(), "--last", LAST.isoformat(),
    )  # fmt: skip
    assert code == 0
    return imported, posted


def ask(chain: Chain, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(psycopg_dsn(chain.settings.database_url())) as connection:
        return connection.execute(query, values).fetchall()


def test_prices_come_in_and_advisors_post_on_them(chain: Chain) -> None:
    minutes = next(f for f in chain.imported["files"] if f["layout"] == "minute")
    assert (minutes["rows"], minutes["accepted"]) == (595_696, 595_696)
    assert chain.imported["count_instruments"] >= 180
    assert chain.posted["days"] == 47
    with chain.signals.open(encoding="utf-8", newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == chain.taken["rows_read"]
    assert chain.taken["rows_accepted"] > 0.9 * chain.taken["rows_read"]
    assert len(chain.taken["trade_dates"]) >= 47


def test_every_step_leaves_rows(chain: Chain) -> None:
    done = chain.backfills[0]
    assert (done.success, done.failures) == (True, {})
    filled = ("validated_signals", "normalised_signals", "resolved_signals", "trades", "trade_legs",
              "outcome_audit", "excursions", "corpus_replays", "equity_curves", "group_metrics",
              "thin_groups", "quality_results")  # fmt: skip
    empty = [name for name in filled if not done.tables[f"research.{name}"][0]]
    assert empty == []
    assert done.tables["ref.regimes"][0] > 0
    assert done.tables["marts.mini_rules"][0] > 0
    assert done.tables["marts.advisor_leaderboard"][0] > 0


def test_a_trade_that_lives_through_an_outage_has_no_number(chain: Chain) -> None:
    rows = ask(
        chain,
        "SELECT t.trade_date, t.exit_reason, count(*), count(net_pnl_paise), count(r_multiple), "
        "count(return_ratio), count(e.mae_r) FROM research.trades t "
        "LEFT JOIN research.excursions e USING (trade_date, trade_id) "
        "WHERE trade_date = ANY(%s) AND exit_reason IN ('INCOMPLETE', 'NO_PRICE_DATA') GROUP BY 1, 2",
        list(OUTAGES),
    )
    assert {row[0] for row in rows} == set(OUTAGES)
    for day, reason, count, *numbers in rows:
        assert count > 0
        assert numbers == [0, 0, 0, 0], f"{day} {reason}: a number stands where nothing was seen"


def test_no_idea_ends_inside_a_silence_of_the_feed(chain: Chain) -> None:
    for day, since in OUTAGES.items():
        if since is None:
            continue
        (late,) = ask(
            chain,
            "SELECT count(*) FROM research.trades WHERE entry_at IS NOT NULL AND is_counted "
            "AND exit_date = %s AND exit_paise IS NOT NULL "
            "AND exit_at AT TIME ZONE 'Asia/Kolkata' > %s::timestamp",
            day, f"{day} {since}:59",
        )  # fmt: skip
        assert late == (0,), f"{day}: the feed is silent from {since} on"


def test_the_index_regime_comes_from_the_daily_history(chain: Chain) -> None:
    ((count, labelled),) = ask(
        chain,
        "SELECT count(*), count(label) FROM ref.regimes "
        "WHERE scope = 'MARKET' AND trade_date BETWEEN %s AND %s",
        FIRST, LAST,
    )  # fmt: skip
    assert count == 47
    assert labelled == 47


def test_computing_late_days_again_changes_no_byte(chain: Chain) -> None:
    whole, late = chain.backfills
    assert late.success
    # The verdicts on a day's rows carry examples and counts of the whole run that judged them.
    verdicts = "research.quality_results"
    changed = {name for name, found in late.tables.items() if found != whole.tables[name]}
    assert changed <= {verdicts}
    assert late.tables[verdicts][0] == whole.tables[verdicts][0]


def test_rules_are_listed_with_what_stops_them(chain: Chain) -> None:
    code, told = run_command("rules", "list")
    assert code == 0
    assert told["as_of_date"] == LAST.isoformat()
    assert len(told["rules"]) > 10
    assert all(rule["n"] > 0 for rule in told["rules"])
    assert any(rule["failed_gates"] for rule in told["rules"])


def test_advisors_on_real_prices_are_judged_by_their_results(chain: Chain) -> None:
    code, told = run_command("skill", "advisors")
    assert code == 0
    assert told["as_of_date"] == LAST.isoformat()
    rows = told["advisors"]
    assert len(rows) > 10
    assert all(row["reasons"] or row["stage"] == "LIVE" for row in rows)
    tested = [row for row in rows if row["p_value"] is not None]
    assert tested
    assert all(0 <= row["p_value"] <= row["q_value"] <= 1 for row in tested)
    assert all(row["mdd_p95_pct"] is None or -100 < row["mdd_p95_pct"] <= 0 for row in rows)
    code, desk = run_command("skill", "desk")
    assert code == 0
    assert sum(desk["stages"].values()) == len(rows)


def test_a_clean_day_is_replayed_twice_alike(chain: Chain) -> None:
    code, once = run_command("replay", CLEAN_DAY)
    assert code == 0
    assert once["is_done"]
    assert once["signals"] > 0
    assert sum(once["decisions"].values()) > 0
    code, twice = run_command("replay", CLEAN_DAY, "--fresh")
    assert code == 0
    assert twice == once
