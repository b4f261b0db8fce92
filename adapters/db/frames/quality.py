"""Results of the quality suites, kept per range of partitions and asset."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd

from adapters.db.frames.copy import Connection, append_frame, driver_connection


def write_quality_results(
    connection: Connection,
    first: date,
    last: date,
    asset: str,
    run_id: str,
    suite: str,
    results: Sequence[Mapping[str, Any]],
) -> int:
    """Replace what was found for an asset's range.

    Parameters
    ----------
    first, last : date
        Closed range of partitions that was judged; the rows are filed under ``last``.
    results : sequence of mapping
        `adapters.quality.SuiteResult.results`.

    Returns
    -------
    int
        Rows written.
    """
    driver_connection(connection).execute(
        "DELETE FROM research.quality_results WHERE partition_date = %s AND asset = %s AND suite = %s",
        (last, asset, suite),
    )
    if not results:
        return 0
    frame = pd.DataFrame(
        {
            "partition_date": last,
            "asset": asset,
            "suite": suite,
            "expectation": [result["expectation"] for result in results],
            "partition_first": first,
            "run_id": run_id,
            "success": [bool(result["success"]) for result in results],
            "is_blocking": [bool(result["is_blocking"]) for result in results],
            "count_rows": [int(result["count_rows"]) for result in results],
            "count_unexpected": [int(result["count_unexpected"]) for result in results],
            "payload": [{"examples": result["examples"], "error": result["error"]} for result in results],
        }
    )
    return append_frame(connection, "research.quality_results", frame)
