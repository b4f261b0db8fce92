"""Pre-market's five steps and what the books say about a signal afterwards."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from adapters.config_gates import load_gates
from adapters.db.engine import psycopg_dsn
from adapters.db.repos.readiness import add_regime, read_readiness, read_regimes, write_readiness
from adapters.db.repos.report import explain_signal
from adapters.db.repos.rulesets import read_ruleset
from adapters.settings import Settings
from cli.main import main
from cli.output import EXIT_BAD_INPUT, EXIT_OK
from propdesk.core.errors import GapFault, InvariantViolated, StaleFault
from propdesk.indicators.regime import RegimeReading
from propdesk.model.enums import GateProfile, Regime
from tests.support.daemon_day import ADVISORS, DAY
from trading_daemon.day import load_day, restore_day
from trading_daemon.main import RunResult
from trading_daemon.premarket import STEPS
from trading_daemon.session import ensure_ready, premarket

pytestmark = pytest.mark.integration

Connection = psycopg.Connection[tuple[Any, ...]]


def test_five_green_steps_make_the_day_ready_and_freeze_its_rules(
    daemon_settings: Settings, connection: Connection
) -> None:
    connection.execute("DELETE FROM ref.readiness")
    for step in ("token", "scrip", "symbols", "regime"):
        assert not premarket(daemon_settings, DAY, (step,)).is_ready
    record = premarket(daemon_settings, DAY, ("corpus",))
    assert record.is_ready
    assert record.opening_corpus_paise == daemon_settings.corpus_paise
    assert record.ruleset_version is not None
    ruleset = read_ruleset(connection, record.ruleset_version)
    assert {key.advisor_id for key in ruleset.rules} == set(ADVISORS)
    assert ruleset.profile is GateProfile.DESK


def test_a_frozen_day_keeps_its_rules_whatever_is_materialised_later(
    daemon_settings: Settings, connection: Connection
) -> None:
    frozen = ensure_ready(daemon_settings, DAY).ruleset_version
    connection.execute("UPDATE marts.mini_rules SET post_mean_r = -1")
    assert premarket(daemon_settings, DAY, ("regime",)).ruleset_version == frozen
    connection.execute("DELETE FROM ref.readiness")
    assert premarket(daemon_settings, DAY, ("regime",)).ruleset_version != frozen


@pytest.mark.parametrize(
    "other",
    [lambda settings: load_day(settings, DAY), lambda settings: premarket(settings, DAY, ("scrip",))],
    ids=["day-loaded", "step"],
)
def test_a_step_that_ends_meanwhile_is_kept(
    daemon_settings: Settings,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    other: Callable[[Settings], object],
) -> None:
    account = daemon_settings.account_id
    ensure_ready(daemon_settings, DAY)
    monkeypatch.setattr("trading_daemon.day.closing_corpus", lambda *_: 12_345)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(psycopg_dsn(daemon_settings.database_url())) as ours:
        record = read_readiness(ours, account, DAY, is_locked=True)
        running = pool.submit(other, daemon_settings)
        deadline = time.monotonic() + 20
        while not connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
            assert time.monotonic() < deadline, "nobody waits for the record"
        write_readiness(ours, replace(record, steps={**record.steps, "late": {}}))
        ours.commit()
        running.result(20)
    assert "late" in read_readiness(connection, account, DAY).steps


@pytest.mark.parametrize("closing_paise", [-12_345, 0, None])
def test_a_day_opens_with_what_the_day_before_left_even_below_zero(
    daemon_settings: Settings, monkeypatch: pytest.MonkeyPatch, closing_paise: int | None
) -> None:
    ensure_ready(daemon_settings, DAY)
    monkeypatch.setattr("trading_daemon.day.closing_corpus", lambda *_: closing_paise)
    day = load_day(daemon_settings, DAY)
    expected = daemon_settings.corpus_paise if closing_paise is None else closing_paise
    assert (day.opened.opening_corpus_paise, day.opened.ready) == (expected, closing_paise is None)
    assert restore_day(daemon_settings, DAY, day.stored).opened.opening_corpus_paise == expected


def test_the_minimums_of_matching_are_frozen_with_the_rules_they_judged(
    daemon_settings: Settings, connection: Connection
) -> None:
    frozen = ensure_ready(daemon_settings, DAY).ruleset_version
    assert frozen is not None
    assert read_ruleset(connection, frozen).minimums == load_gates().match_minimums(GateProfile.DESK)
    connection.execute("UPDATE ref.gate_thresholds SET threshold = 0.2 WHERE gate = 'post_mean_r'")
    assert read_ruleset(connection, frozen).minimums == load_gates().match_minimums(GateProfile.DESK)
    connection.execute("DELETE FROM ref.readiness")
    other = premarket(daemon_settings, DAY, ("regime",)).ruleset_version
    assert other is not None
    assert other != frozen
    assert {asked.post_mean_r for asked in read_ruleset(connection, other).minimums.values()} == {0.2}


@pytest.mark.parametrize(
    "change", ["UPDATE ref.gate_thresholds SET gates_version = 'other'", "DELETE FROM ref.gate_thresholds"]
)
def test_rules_judged_by_other_gates_are_refused_with_the_remedy(
    daemon_settings: Settings, connection: Connection, change: str
) -> None:
    connection.execute("DELETE FROM ref.readiness")
    connection.execute(change)
    with pytest.raises(GapFault, match=r"judged by other gates.*backfill 2025-06-30 2025-06-30"):
        premarket(daemon_settings, DAY, ("regime",))


def test_old_rules_are_refused_with_the_remedy(daemon_settings: Settings, connection: Connection) -> None:
    connection.execute("DELETE FROM ref.readiness")
    connection.execute("UPDATE marts.mini_rules SET as_of_date = '2025-06-27'")
    with pytest.raises(GapFault, match=r"newest rules are of 2025-06-27.*backfill 2025-06-30"):
        premarket(daemon_settings, DAY, ("regime",))


def test_a_day_without_bars_of_the_market_has_no_regime(
    daemon_settings: Settings, connection: Connection
) -> None:
    connection.execute("DELETE FROM ref.readiness")
    connection.execute("DELETE FROM ref.regimes")
    with pytest.raises(GapFault, match="no daily bars of INDEX:NIFTY"):
        premarket(daemon_settings, DAY, ("regime",))


def test_a_label_that_was_missing_is_made_good_and_one_that_stands_is_not_changed(
    connection: Connection,
) -> None:
    stale = RegimeReading(None, "STALE_BARS: for a test", *[float("nan")] * 5)
    found = [replace(stale, label=label, reason=None) for label in (Regime.SIDEWAYS, Regime.TRENDING_BULLISH)]
    for reading in (stale, *found):
        add_regime(connection, date(2030, 1, 1), "MARKET", reading)
    assert read_regimes(connection, date(2030, 1, 1)) == {"MARKET": Regime.SIDEWAYS}
    row = connection.execute("SELECT reason FROM ref.regimes WHERE trade_date = '2030-01-01'").fetchone()
    assert row == (None,)


def test_a_day_without_a_master_and_a_day_without_trading_are_refused(daemon_settings: Settings) -> None:
    with pytest.raises(GapFault, match="No instrument master holds on 2024-07-01"):
        premarket(daemon_settings, date(2024, 7, 1), ("scrip",))
    with pytest.raises(StaleFault, match="2025-07-05 is no market day; the next one is 2025-07-07"):
        premarket(daemon_settings, date(2025, 7, 5))


def test_a_signal_is_explained_from_document_to_fill(
    replay: Callable[..., RunResult], settings: Settings, connection: Connection
) -> None:
    replay(fresh=True)
    row = connection.execute(
        "SELECT signal_id FROM trading.executed_trades WHERE account_id = %s ORDER BY entry_ns LIMIT 1",
        (settings.account_id,),
    ).fetchone()
    assert row is not None
    found = explain_signal(connection, settings.account_id, row[0])
    assert found["documents"][0]["document"]["kind"] == "SIGNAL"
    assert found["decisions"][-1]["code"] == "TRADED"
    assert found["decisions"][-1]["candidates"], "the rules looked at are stored"
    assert [intent["kind"] for intent in found["intents"]].count("PLACE") == len(found["legs"])
    assert all(trade["net_pnl_paise"] is not None for trade in found["trades"])
    short = explain_signal(connection, settings.account_id, row[0][:13])
    assert short["signal_id"] == row[0], "the list of a day's trades shows the beginning of an id"
    with pytest.raises(GapFault, match="has received no signal nothing"):
        explain_signal(connection, settings.account_id, "nothing")
    with pytest.raises(GapFault, match="has received no signal"):
        explain_signal(connection, settings.account_id, "")
    ids = connection.execute("SELECT DISTINCT record_id FROM trading.inbox ORDER BY record_id").fetchall()
    assert len(ids) > 16, "then two begin with the same hex digit"
    digit = next(a[0][0] for a, b in pairwise(ids) if a[0][0] == b[0][0])
    with pytest.raises(GapFault, match=f"Several signals begin with {digit}: give more of the id"):
        explain_signal(connection, settings.account_id, digit)


@pytest.fixture
def operator(daemon_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings as commands find them in their environment."""
    for name in ("postgres_url", "postgres_daemon_url", "postgres_reader_url"):
        value = getattr(daemon_settings, name)
        if value is not None:
            monkeypatch.setenv(f"PROPDESK_{name.upper()}", value.get_secret_value())
    monkeypatch.setenv("PROPDESK_ACCOUNT_ID", daemon_settings.account_id)
    monkeypatch.setenv("PROPDESK_HOME", str(daemon_settings.home))
    return daemon_settings


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["rules", *words, "--json"]) == EXIT_OK, capsys.readouterr().err
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["rules", *words]) == EXIT_BAD_INPUT
    return capsys.readouterr().err


def test_a_person_rolls_a_day_back_to_rules_that_were_trusted(
    operator: Settings, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    connection.execute("DELETE FROM ref.readiness")
    trusted = premarket(operator, DAY, ("regime",)).ruleset_version
    connection.execute("UPDATE marts.mini_rules SET post_mean_r = -1, desk_passes = false")
    spoilt = premarket(operator, DAY, ("regime",)).ruleset_version
    assert trusted is not None
    assert spoilt is not None
    assert trusted != spoilt

    changes = told(capsys, "diff", trusted, spoilt)
    assert changes["counts"]["OFF"] > 0
    assert changes["counts"]["ON"] == 0
    assert told(capsys, "diff", spoilt, trusted)["counts"]["ON"] == changes["counts"]["OFF"]

    told(capsys, "pin", trusted, str(DAY), "--reason", "the load of today is broken")
    assert read_readiness(connection, operator.account_id, DAY).ruleset_version is None, "to be settled anew"
    listed = {row["ruleset_version"]: row for row in told(capsys, "versions")["rulesets"]}
    assert listed[trusted]["pinned_for"] == [str(DAY)]
    assert listed[spoilt]["pinned_for"] == []
    record = premarket(operator, DAY, STEPS)
    assert record.is_ready
    assert record.ruleset_version == trusted
    assert record.steps["regime"]["reason"] == "the load of today is broken"
    assert {row["ruleset_version"]: row["used_on"] for row in told(capsys, "versions")["rulesets"]}[
        trusted
    ] == [str(DAY)]
    # what is live stays as it is
    assert "is ready already" in refused(capsys, "unpin", str(DAY), "--reason", "x")
    assert "is ready already" in refused(capsys, "pin", spoilt, str(DAY), "--reason", "x")
    assert premarket(operator, DAY, ("regime",)).ruleset_version == trusted

    connection.execute("DELETE FROM ref.readiness")
    told(capsys, "unpin", str(DAY), "--reason", "repaired")
    assert premarket(operator, DAY, ("regime",)).ruleset_version == spoilt
    actions = connection.execute(
        "SELECT action, detail ->> 'reason' FROM audit.log WHERE action LIKE 'RULES%' ORDER BY seq"
    ).fetchall()
    assert actions == [("RULES_PINNED", "the load of today is broken"), ("RULES_UNPINNED", "repaired")]
    assert "Nothing is pinned" in refused(capsys, "unpin", str(DAY), "--reason", "x")


def test_only_rules_that_a_day_may_use_can_be_pinned_for_it(
    operator: Settings, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    connection.execute("DELETE FROM ref.readiness")
    version = premarket(operator, DAY, ("regime",)).ruleset_version
    assert version is not None
    assert "no frozen ruleset 0123456789abcdef" in refused(
        capsys, "pin", "0123456789abcdef", str(DAY), "--reason", "x"
    )
    as_of = connection.execute("SELECT as_of_date FROM ref.rulesets").fetchone()
    assert as_of is not None
    assert "of a day before it" in refused(capsys, "pin", version, str(as_of[0]), "--reason", "x")
    told(capsys, "pin", version, str(DAY), "--reason", "x")
    other = operator.model_copy(update={"gate_profile": "original"})
    with pytest.raises(GapFault, match=r"pinned for .* of profile desk .* unpin"):
        premarket(other, DAY, ("regime",))
    connection.execute("UPDATE ref.ruleset_rules SET rule = jsonb_set(rule, '{n}', '99')")
    with pytest.raises(InvariantViolated, match="was changed after it was frozen"):
        premarket(operator, DAY, ("regime",))
