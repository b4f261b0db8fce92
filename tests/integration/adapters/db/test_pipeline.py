"""Small questions about the pipeline's tables."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg import sql

from adapters.db.engine import psycopg_dsn
from adapters.db.repos.pipeline import MARTS, NEVER_EMPTY, holds_marts

pytestmark = pytest.mark.integration
DAY, NEXT = date(2025, 6, 2), date(2025, 6, 3)


@pytest.fixture
def connection(pg_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Marts as tables of one column; all is rolled back."""
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        for name in MARTS:
            connection.execute(
                sql.SQL("CREATE TABLE {} (as_of_date date)").format(sql.Identifier("marts", name))
            )
        for name in NEVER_EMPTY:
            connection.execute(
                sql.SQL("INSERT INTO {} VALUES (%s)").format(sql.Identifier("marts", name)), (DAY,)
            )
        yield connection
        connection.rollback()


def test_a_day_is_held_without_a_change_or_an_eligible_rule(connection: psycopg.Connection[Any]) -> None:
    assert holds_marts(connection, DAY)
    assert not holds_marts(connection, NEXT)


@pytest.mark.parametrize("name", MARTS)
def test_a_build_that_broke_off_before_a_mart_holds_nothing(
    connection: psycopg.Connection[Any], name: str
) -> None:
    connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("marts", name)))
    assert not holds_marts(connection, DAY)


@pytest.mark.parametrize("name", NEVER_EMPTY)
def test_a_mart_that_is_never_empty_lacks_the_day_where_it_is(
    connection: psycopg.Connection[Any], name: str
) -> None:
    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier("marts", name)))
    assert not holds_marts(connection, DAY)
