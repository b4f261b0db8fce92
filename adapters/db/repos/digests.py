"""Prints of the pipeline's tables: two runs over equal input give equal ones (§2)."""

from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql

_TABLES: Final = """
SELECT table_schema, table_name, column_name FROM information_schema.columns
WHERE column_name IN ('trade_date', 'as_of_date')
  AND (table_schema IN ('research', 'marts')
       OR (table_schema, table_name) IN (('raw', 'raw_signals'), ('ref', 'regimes')))
ORDER BY table_schema, table_name
"""
_DIGEST: Final = """
SELECT count(*), md5(coalesce(string_agg(line, '' ORDER BY line COLLATE "C"), ''))
FROM (SELECT md5(t::text) AS line FROM {table} AS t WHERE {column} BETWEEN %s AND %s) AS lines
"""


def digest_tables(
    connection: "psycopg.Connection[Any]", first: date, last: date
) -> dict[str, tuple[int, str]]:
    """Give number of rows and digest of every table of the nine steps over a closed range of days.

    Parameters
    ----------
    connection : psycopg.Connection
        Its time zone must be the same wherever prints are compared; `adapters.db.engine` sets UTC.
    first, last : date
        Days of signals, or as-of days.

    Returns
    -------
    dict of str to (int, str)
        By name with schema: rows, and 32 hex digits over whole rows in any order. Verdicts of the quality
        suites are left out: they carry the id of their run.
    """
    found = {}
    for schema, table, column in connection.execute(_TABLES).fetchall():
        query = sql.SQL(_DIGEST).format(
            table=sql.Identifier(schema, table), column=sql.Identifier("t", column)
        )
        row = connection.execute(query, (first, last)).fetchone()
        found[f"{schema}.{table}"] = (0, "") if row is None else (row[0], row[1])
    return found
