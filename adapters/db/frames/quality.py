"""Results of the quality suites per market day: one row per day, asset and expectation."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd

from adapters.db.frames.copy import Connection, append_frame, driver_connection


def write_daily_results(
    connection: Connection,
    first: date,
    last: date,
    asset: str,
    suite: str,
    run_id: str,
    results: Mapping[date, Sequence[Mapping[str, Any]]],
) -> int:
    """Replace what was found for an asset's days.

    Parameters
    ----------
    connection : psycopg or SQLAlchemy connection
        The caller commits.
    first, last : date
        Closed range of days whose earlier results go.
    asset, suite : str
        Names.
    run_id : str
        Of the run that judged.
    results : mapping of date to sequence of mapping
        Per day `adapters.quality.SuiteResult.results`.

    Returns
    -------
    int
        Rows written.
    """
    driver_connection(connection).execute(
        "DELETE FROM research.quality_results"
        " WHERE partition_date BETWEEN %s AND %s AND asset = %s AND suite = %s",
        (first, last, asset, suite),
    )
    rows = [
        {
            "partition_date": day,
            "asset": asset,
            "suite": suite,
            "run_id": run_id,
            **{
                name: one[name]
                for name in ("expectation", "success", "is_blocking", "count_rows", "count_unexpected")
            },
            "payload": {"examples": one["examples"], "error": one["error"]},
        }
        for day, found in results.items()
        for one in found
    ]
    return append_frame(connection, "research.quality_results", pd.DataFrame(rows)) if rows else 0
