"""Daemons that fall silent, on a real database."""

from datetime import timedelta

import psycopg
import pytest
from pydantic import SecretStr

from adapters.calendar import load_calendar
from adapters.db.engine import psycopg_dsn
from adapters.settings import Settings
from cli.watchdog import look
from propdesk.core.calendar import Segment
from propdesk.core.clock import NS_PER_HOUR, NS_PER_SECOND, from_ns
from propdesk.core.errors import PropdeskError
from tests.support.daemon_day import DAY

pytestmark = pytest.mark.integration


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
        assert look(settings, beat_ns + 30 * NS_PER_SECOND, 30) == ()
        late_ns = beat_ns + 31 * NS_PER_SECOND
        (told,) = look(settings, late_ns, 30)
        assert told.startswith("daemon of account live has been silent since ")
        assert look(settings, late_ns + NS_PER_SECOND, 30) == (told,)
        assert look(settings, hours.close_ns, 30) == (), "after the close nothing has to live"
        assert look(settings, late_ns + 4 * 24 * NS_PER_HOUR, 30) == (), "nor on a Saturday"
        alerts = connection.execute("SELECT account_id, kind, severity, message FROM ref.alerts").fetchall()
    assert alerts == [("live", "HEARTBEAT_LOST", "critical", told)]


def test_a_database_that_cannot_be_asked_is_no_good_news(settings: Settings) -> None:
    gone = settings.model_copy(
        update={"postgres_pipeline_url": SecretStr("postgresql+psycopg://x@127.0.0.1:1/none")}
    )
    with pytest.raises(PropdeskError):
        look(gone, 0, 30)
