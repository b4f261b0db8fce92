"""Turns at an object store, by session locks of a real PostgreSQL."""

import psycopg
import pytest

from adapters.settings import Settings
from adapters.ticks.opening import open_store
from adapters.ticks.store import ParquetPriceStore, bars_table
from adapters.ticks.turns import DatabaseTurns
from propdesk.core.errors import DataFault
from runtime.servers import ServerSet
from tests.unit.adapters.ticks.test_store import CALENDAR, DAY, bars

pytestmark = pytest.mark.integration


def write(store: ParquetPriceStore) -> None:
    store.write_minutes(DAY, bars_table([("NSE_EQ:A", bars(DAY, [0]))]))


def impatient(settings: Settings, url: str) -> ParquetPriceStore:
    turns = DatabaseTurns(url, lambda: settings.database_url("pipeline"), lambda _: None, 0)
    return ParquetPriceStore(url, CALENDAR, turns=turns)


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
    with pytest.raises(DataFault, match=r"was lost .*nothing was put into place"), store.stage() as stage:  # noqa: PT012
        stage.add("minute", DAY, bars_table([("NSE_EQ:A", bars(DAY, [0]))]))
        with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'propdesk-prices%'"
            )
    assert (store.days("minute"), store._place.names("")) == ([], [])
    write(impatient(settings, "memory://turns-lost"))
    assert store.days("minute") == [DAY]
