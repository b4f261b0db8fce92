"""Turns at an object store, by session locks of a real PostgreSQL."""

from collections.abc import Mapping

import psycopg
import pytest

from adapters.settings import Settings
from adapters.ticks.opening import open_store
from adapters.ticks.store import ParquetPriceStore, bars_table
from adapters.ticks.turns import DatabaseTurns, _SessionLock
from propdesk.core.errors import DataFault
from runtime.servers import ServerSet
from tests.unit.adapters.ticks.test_store import CALENDAR, DAY, bars

pytestmark = pytest.mark.integration


def write(store: ParquetPriceStore) -> None:
    store.write_minutes(DAY, bars_table([("NSE_EQ:A", bars(DAY, [0]))]))


def impatient(settings: Settings, url: str) -> ParquetPriceStore:
    turns = DatabaseTurns(url, lambda: settings.database_url("pipeline"), lambda _: None, 0)
    return ParquetPriceStore(url, CALENDAR, turns=turns)


def cut_off(servers: ServerSet) -> None:
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'propdesk-prices%'"
        )


def silence_s(options: Mapping[str, str], prefix: str) -> int:
    """How long the other end may say nothing until it counts as gone."""
    idle, every, probes = (int(options[f"{prefix}_{name}"]) for name in ("idle", "interval", "count"))
    assert int(options["tcp_user_timeout"]) == (idle + every * probes) * 1000
    return idle + every * probes


def test_writers_and_readers_of_an_object_store_take_turns(settings: Settings) -> None:
    url = "memory://turns"
    desk = open_store(settings, CALENDAR, url=url)
    with (
        desk.writing(),
        pytest.raises(DataFault, match=r"memory://turns is being written by .*process \d+ on"),
    ):
        write(impatient(settings, url))
    with (
        desk.reading(),
        impatient(settings, url).reading(),
        pytest.raises(DataFault, match="is being read by"),
    ):
        write(impatient(settings, url))
    with desk.writing():  # another store is no business of theirs
        write(impatient(settings, "memory://turns-of-another"))
    write(desk)
    assert desk.days("minute") == [DAY]


def test_a_writer_whose_turn_is_lost_puts_nothing_into_place(settings: Settings, servers: ServerSet) -> None:
    store = open_store(settings, CALENDAR, url="memory://turns-lost")
    with pytest.raises(DataFault, match=r"was lost .*nothing was stored"), store.stage() as stage:  # noqa: PT012
        stage.add("minute", DAY, bars_table([("NSE_EQ:A", bars(DAY, [0]))]))
        cut_off(servers)
    assert (store.days("minute"), store._place.names("")) == ([], [])
    write(impatient(settings, "memory://turns-lost"))
    assert store.days("minute") == [DAY]


def test_a_step_whose_turn_is_lost_fails_before_it_stores(settings: Settings, servers: ServerSet) -> None:
    store = open_store(settings, CALENDAR, url="memory://turns-lost-reading")
    with pytest.raises(DataFault, match=r"was lost .*nothing was stored"), store.reading():
        cut_off(servers)


def test_both_ends_of_a_turn_notice_within_a_minute_that_the_other_is_gone(settings: Settings) -> None:
    lock = _SessionLock(settings.database_url("pipeline"), "memory://turns-alive", "writer")
    assert lock.take(shared=False)
    try:
        assert lock._connection is not None
        at_server = dict(
            lock._connection.execute(
                "SELECT name, setting FROM pg_settings WHERE name LIKE 'tcp\\_%'"
            ).fetchall()
        )
        here = lock._connection.info.get_parameters()
        assert silence_s(at_server, "tcp_keepalives") == silence_s(here, "keepalives") == 60
    finally:
        lock.release()
