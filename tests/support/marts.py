"""The tables of the marts as their contracts describe them, without a dbt run."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from adapters.db.describe import describe_mart

MARTS = ("advisor_leaderboard", "rules_6d", "mini_rules", "eligible_rules", "adverse_rules", "rule_changes")


def make_marts(connection: psycopg.Connection[Any]) -> None:
    """Create every mart, empty, open to the reader; as the owner."""
    for name in MARTS:
        columns = sql.SQL(", ").join(
            sql.SQL("{} {} {}").format(
                sql.Identifier(column.name),
                sql.SQL(column.type_name),
                sql.SQL("" if column.is_nullable else "NOT NULL"),
            )
            for column in describe_mart(name)
        )
        table = sql.Identifier("marts", name)
        connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, columns))
        connection.execute(sql.SQL("GRANT SELECT ON {} TO propdesk_reader").format(table))


def fill(connection: psycopg.Connection[Any], table: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows given by the columns that matter."""
    for row in rows:
        connection.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(*table.split(".")),
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join(sql.Placeholder() * len(row)),
            ),
            list(row.values()),
        )
