"""Daemons that fall silent, on a real database."""

from datetime import timedelta

import psycopg
import pytest
from pydantic import SecretStr

from adapters.calendar import load_calendar
from adapters.db.engine import psycopg_dsn
from adapters.settings import Settings
from cli import watchdog
from cli.watchdog import look
from propdesk.core.calendar import Segment
from propdesk.core.clock import NS_PER_HOUR, NS_PER_SECOND, from_ns
from propdesk.core.errors import PropdeskError
from tests.support.daemon_day import DAY

pytestmark = pytest.mark.integration


HOURS = load_calendar().hours(DAY, Segment.DERIVATIVES)

OPEN_GROUP = """
    INSERT INTO trading.trade_groups (account_id, group_id, trade_date, signal_id, advisor_id, instrument_key,
        category, period, product, side, entry_type, targets_paise, lot_size, margin_paise, active_from_ns,
        valid_until_ns, is_reverse, rule_text, targets_hit, ambiguous_bar, gapped_through, is_shadow,
        is_closed, pool, planned_risk_paise, opened_ns, gross_pnl_paise, charges_paise, net_pnl_paise,
        journal_seq)
    VALUES (%(account)s, 'g1', %(day)s, 's1', 'A01', 'NSE_EQ:ALPHA', 'NSE_EQ', 'SWING', 'CNC', 'BUY', 'LIMIT',
        '{}', 1, 0, 0, 0, false, 'MINI|A01|NSE_EQ|SWING', 0, false, false, false, false, 'NSE_EQ', 0, 0, 0,
        0, 0, 1)"""


def seen(settings: Settings, now_ns: int) -> tuple[str, ...]:
    found = look(settings, now_ns, 30)
    assert found is not None
    return found.silent


def test_a_daemon_that_lived_today_is_told_once_after_thirty_seconds_of_market_hours(
    settings: Settings,
) -> None:
    hours = load_calendar().hours(DAY, Segment.DERIVATIVES)
    beat_ns = hours.open_ns + NS_PER_HOUR
    with psycopg.connect(psycopg_dsn(settings.database_url()), autocommit=True) as connection:
        for account, at in (
            ("live", from_ns(beat_ns)),
            ("of yesterday", from_ns(beat_ns) - timedelta(days=1)),
        ):
            connection.execute(
                "INSERT INTO trading.heartbeats (account_id, component, beat_at, epoch, pid, detail) "
                "VALUES (%s, 'daemon', %s, 1, 1, '{}')",
                (account, at),
            )
        assert seen(settings, beat_ns + 30 * NS_PER_SECOND) == ()
        late_ns = beat_ns + 31 * NS_PER_SECOND
        (told,) = seen(settings, late_ns)
        assert told.startswith("daemon of account live has been silent since ")
        assert seen(settings, late_ns + NS_PER_SECOND) == (told,)
        assert look(settings, hours.close_ns, 30) is None, "after the close nothing has to live"
        assert look(settings, late_ns + 4 * 24 * NS_PER_HOUR, 30) is None, "nor on a Saturday"
        alerts = connection.execute("SELECT account_id, kind, severity, message FROM ref.alerts").fetchall()
    assert alerts == [("live", "HEARTBEAT_LOST", "critical", told)]


def test_a_database_that_cannot_be_asked_is_no_good_news(settings: Settings) -> None:
    gone = settings.model_copy(
        update={"postgres_pipeline_url": SecretStr("postgresql+psycopg://x@127.0.0.1:1/none")}
    )
    with pytest.raises(PropdeskError):
        look(gone, 0, 30)


@pytest.mark.parametrize("ready", ["today", "yesterday"])
def test_a_daemon_that_never_lived_is_missed_where_one_is_to_trade(settings: Settings, ready: str) -> None:
    """Pre-market made the day ready; or it failed today, and positions of yesterday wait."""
    account = f"ready-{ready}"
    day = DAY if ready == "today" else DAY - timedelta(days=1)
    with psycopg.connect(psycopg_dsn(settings.database_url()), autocommit=True) as connection:
        assert seen(settings, HOURS.open_ns + NS_PER_HOUR) == (), "nobody is expected"
        connection.execute(
            "INSERT INTO ref.readiness (account_id, trade_date, steps, ready_at) VALUES (%s, %s, '{}', %s)",
            (account, day, from_ns(HOURS.open_ns) - timedelta(hours=1)),
        )
        if ready == "yesterday":
            assert seen(settings, HOURS.open_ns + NS_PER_HOUR) == (), "nothing is held"
            connection.execute(OPEN_GROUP, {"day": day, "account": account})
        assert seen(settings, HOURS.open_ns + 299 * NS_PER_SECOND) == (), "it may still start"
        for late_s in (300, 360):
            (told,) = seen(settings, HOURS.open_ns + late_s * NS_PER_SECOND)
            assert told.startswith(f"No trading daemon of account {account} has lived today")
        alerts = connection.execute(
            "SELECT kind, severity, message FROM ref.alerts WHERE account_id = %s", (account,)
        ).fetchall()
        connection.execute("DELETE FROM ref.readiness WHERE account_id = %s", (account,))
    assert alerts == [("HEARTBEAT_LOST", "critical", told)]


@pytest.mark.parametrize("what", ["locked", "renamed"])
def test_a_database_that_gives_no_look_is_no_good_news_and_does_not_hang(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(watchdog, "PATIENCE_S", 0.2)
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        connection.execute(
            "LOCK TABLE trading.heartbeats IN ACCESS EXCLUSIVE MODE"
            if what == "locked"
            else "ALTER TABLE trading.heartbeats RENAME TO heartbeats_away"
        )
        if what == "renamed":
            connection.commit()
        try:
            with pytest.raises(PropdeskError, match="gave no look at the daemons"):
                look(settings, HOURS.open_ns + NS_PER_HOUR, 30)
        finally:
            connection.rollback()
            if what == "renamed":
                connection.execute("ALTER TABLE trading.heartbeats_away RENAME TO heartbeats")
