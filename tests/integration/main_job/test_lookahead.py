"""The look-ahead test: clean on an honest desk, and it names a step that peeks."""

import json
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from adapters.db.engine import psycopg_dsn
from adapters.settings import CLONE_ROOT, Settings
from orchestration.lookahead import Report, TableReport, detect
from tests.support.daily_chain import DAYS
from tests.support.desk_settings import desk_settings
from tests.support.lookahead_chain import PLANT
from tests.support.main_job import call_process, environment, print_tables
from tests.support.warm import warm_python

LIMIT_S = 400
TESTED = DAYS[2], DAYS[3]
SCHEMAS = ("raw", "research", "ref", "marts")
FORKED = ("-m", "tests.support.lookahead_chain", "rerun")
"""Handed to `detect` by tests; the command starts the real program, in an interpreter of its own."""

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def settings(pg_role_urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return desk_settings(tmp_path_factory.mktemp("desk") / "home", pg_role_urls)


def play(settings: Settings, folder: Path, **more: str) -> None:
    done = subprocess.run(
        [*warm_python(), "-m", "tests.support.lookahead_chain", "play", str(folder)],
        cwd=CLONE_ROOT, env=environment(settings) | more, capture_output=True, text=True, timeout=LIMIT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6_000:]


def by_table(found: Report) -> dict[str, TableReport]:
    return {one.table: one for one in found.tables}


def databases(settings: Settings) -> set[str]:
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


@pytest.fixture(scope="module")
def desk(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    play(settings, tmp_path_factory.mktemp("uploads"))
    return settings


def test_an_honest_desk_is_clean_and_untouched(desk: Settings) -> None:
    before, known = print_tables(desk.database_url(), SCHEMAS), databases(desk)
    told: list[str] = []
    found = detect(desk, *TESTED, with_corrections=True, tell=told.append, command=(*warm_python(), *FORKED))
    assert [one for one in found.tables if one.differing] == []
    assert found.is_clean
    assert found.days == (DAYS[2], DAYS[3])
    assert found.begin == DAYS[0]
    rows = {name: one.rows for name, one in by_table(found).items()}
    assert all(rows[name] for name in (
        "research.validated_signals", "research.followups", "research.trades", "research.trade_legs",
        "research.trade_marks", "research.excursions", "research.signal_flags", "ref.regimes",
        "research.corpus_replays", "research.group_metrics", "research.thin_groups", "marts.mini_rules",
        "marts.advisor_leaderboard",
    )), rows  # fmt: skip
    assert len(told) == 1 + len(found.days)  # the day before, for what changed on the first one
    assert print_tables(desk.database_url(), SCHEMAS) == before
    assert databases(desk) == known


def test_the_command_names_a_row_that_knows_a_later_word(desk: Settings) -> None:
    """One call of the second day is corrected by a later file; the newest revision counts."""
    words = ["lookahead", str(DAYS[1]), str(DAYS[1]), "--json"]
    done = call_process(words, environment(desk), limit_s=LIMIT_S)
    assert done.returncode == 1, done.stderr[-3_000:]
    found = json.loads(done.stdout)
    assert (found["clean"], found["days"]) == (False, 1)
    signals = found["tables"]["research.validated_signals"]
    assert (signals["differing"], signals["revised"]) == (1, 1)
    assert "stoploss_paise" in signals["first"][0]["columns"]
    assert signals["first"][0]["revised"]


def test_days_that_were_not_computed_are_refused(desk: Settings) -> None:
    late = call_process(["lookahead", "2025-07-01", "2025-07-02"], environment(desk), limit_s=LIMIT_S)
    assert late.returncode == 2, late.stderr[-3_000:]
    assert "backfill 2025-07-01 2025-07-02" in late.stderr


def test_a_test_that_is_told_to_end_leaves_no_database(desk: Settings) -> None:
    known = databases(desk)
    child = subprocess.Popen(
        [*warm_python(), "-m", "cli", "lookahead", str(DAYS[0]), str(DAYS[0])],
        cwd=CLONE_ROOT, env=environment(desk), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while databases(desk) == known and child.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                child.wait(0.05)
        child.terminate()
        _, said = child.communicate(timeout=LIMIT_S)
    finally:
        child.kill()
    assert child.returncode == 130, said
    assert databases(desk) == known


def test_a_step_that_peeks_is_named(desk: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(desk, tmp_path, **{PLANT: "1"})
    monkeypatch.setenv(PLANT, "1")
    found = by_table(detect(desk, DAYS[1], DAYS[1], with_corrections=True, command=(*warm_python(), *FORKED)))
    peeks = found["ref.regimes"]
    assert [(one.day, one.key, one.columns) for one in peeks.first] == [
        (DAYS[1], f"{DAYS[1]} MARKET", ("label",))
    ]
    assert not any(one.differing for name, one in found.items() if name.startswith("research.trade"))
