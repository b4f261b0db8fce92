"""A prepared day on real servers, and runs of the daemon inside the test's process."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.clock import SystemClock
from adapters.db.engine import psycopg_dsn
from adapters.db.repos.report import DayReport, read_day_report
from adapters.log import configure_logging
from adapters.settings import Settings
from propdesk.ports import BarArrays
from tests.support.daemon_day import DAY, make_documents, prepare_day
from trading_daemon.feeds import StoreFeed
from trading_daemon.main import RunResult, run_daemon
from trading_daemon.session import ensure_ready, plan_replay

ACCOUNTS = iter(range(1, 1_000))
Documents = list[dict[str, object]]
Replay = Callable[..., RunResult]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    configure_logging("daemon", SystemClock(), level="error")


@pytest.fixture
def documents(settings: Settings) -> Documents:
    """Signals of a prepared day."""
    return make_documents(prepare_day(settings))


@pytest.fixture
def daemon_settings(settings: Settings, mongo_database: str, documents: Documents) -> Settings:
    """Settings of a daemon whose day is prepared, with a MongoDB database of its own."""
    del documents
    return settings.model_copy(update={"mongo_database": mongo_database, "log_level": "error"})


@pytest.fixture
def replay(daemon_settings: Settings, documents: Documents) -> Replay:
    """Replay the prepared day; ``fresh`` begins anew."""

    def run(
        *, fresh: bool, settings: Settings = daemon_settings, signals: Documents = documents
    ) -> RunResult:
        plan = plan_replay(settings, DAY, signals, fresh=fresh)
        ensure_ready(settings, DAY)
        return run_daemon(settings, DAY, plan)

    return run


@pytest.fixture
def connection(settings: Settings) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """A connection as the owner, for looking."""
    with psycopg.connect(psycopg_dsn(settings.database_url()), autocommit=True) as open_connection:
        yield open_connection


@pytest.fixture
def report(settings: Settings) -> Callable[[], DayReport]:
    """Read the day's report."""

    def read() -> DayReport:
        with psycopg.connect(psycopg_dsn(settings.database_url())) as open_connection:
            return read_day_report(open_connection, settings.account_id, DAY)

    return read


@pytest.fixture
def env_file(daemon_settings: Settings, tmp_path: Path) -> Path:
    """Settings of the daemon as a file for a real process."""
    lines = []
    for name in type(daemon_settings).model_fields:
        value = getattr(daemon_settings, name)
        secret = getattr(value, "get_secret_value", None)
        text = secret() if secret is not None else value
        if isinstance(text, str | int | Path) and not isinstance(text, bool):
            lines.append(f"PROPDESK_{name.upper()}={text}")
    path = tmp_path / "daemon.env"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def bars(settings: Settings) -> dict[str, BarArrays]:
    """Prices of the prepared day."""
    return prepare_day(settings)


@pytest.fixture
def make_account(
    settings: Settings, bars: dict[str, BarArrays], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Settings]:
    """Make fresh live paper accounts whose day is ready; the feed follows the test's clock."""
    del bars

    async def briefly(_seconds: float) -> None:
        await asyncio.sleep(0.002)

    monkeypatch.setattr("trading_daemon.bootstrap.StoreFeed", _feed_that(briefly))

    def make() -> Settings:
        account = f"live-{next(ACCOUNTS)}"
        one = settings.model_copy(update={"account_id": account, "mongo_url": None, "log_level": "error"})
        ensure_ready(one, DAY)
        return one

    return make


def _feed_that(sleep: Callable[[float], Awaitable[None]]) -> type[StoreFeed]:
    class Following(StoreFeed):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, sleep=sleep)

    return Following
