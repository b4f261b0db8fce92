"""What a materialisation tells about itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    MarkdownMetadataValue,
    MaterializeResult,
    MetadataValue,
)

from assets._shared.dress import code_version
from assets._shared.partitions import DayRange

REASONS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdict of a table's quality suite: of the run, and said in a sentence for each day by ISO date."""

    check: AssetCheckResult
    sentences: Mapping[str, str]


def rows_by_day(frame: pd.DataFrame, column: str) -> dict[str, int]:
    """Count rows per ISO date of a date column, in the order of the dates.

    Parameters
    ----------
    frame : DataFrame
    column : str
        Holds `datetime.date`.

    Returns
    -------
    dict
        Days without a row are absent.
    """
    counts = frame[column].value_counts()
    return {day.isoformat(): int(counts[day]) for day in sorted(counts.index)}


def report(
    context: AssetExecutionContext,
    days: DayRange,
    name: str,
    frame: pd.DataFrame,
    *,
    rows_in: int,
    rejected: Mapping[str, int] | None = None,
    picture: MarkdownMetadataValue | None = None,
    check: Judged | None = None,
    watched: Judged | None = None,
    day_column: str = "trade_date",
    **extra: Any,
) -> MaterializeResult[None]:
    """Describe what a step wrote: rows in and out, refusals by reason, days, code version, a picture.

    Parameters
    ----------
    context : AssetExecutionContext
        Takes row count and verdict of each day apart, since the rest is repeated with every day of the run.
    days : DayRange
        What the run worked on.
    name : str
        Key of the asset.
    frame : DataFrame
        What was written.
    rows_in : int
        Rows read.
    rejected : mapping of str to int, optional
        Refused rows by reason code.
    picture : MarkdownMetadataValue, optional
        From `assets._shared.pictures`.
    check : Judged, optional
        Verdict of the quality suite, from `assets.quality`.
    watched : Judged, optional
        A further verdict, which stops nothing.
    day_column : str
        Partition column of the frame.
    **extra
        More metadata of the whole run.

    Returns
    -------
    MaterializeResult
        For every day of the run. What is about the whole run is named ``run_…``, so that nobody takes it for
        a figure of the day on whose page it stands.
    """
    counts = rows_by_day(frame, day_column)
    verdicts = [one for one in (check, watched) if one is not None]
    for key in context.partition_keys:
        # in one call: each asks Dagster for all days of the run
        told: dict[str, Any] = {"dagster/partition_row_count": counts.get(key, 0)}
        told |= {str(one.check.check_name): one.sentences[key] for one in verdicts if key in one.sentences}
        context.add_asset_metadata(told, name, key)
    metadata: dict[str, Any] = {
        "run_days": MetadataValue.text(str(days)),
        "run_rows_in": rows_in,
        "run_rows_out": len(frame),
        "code_version": MetadataValue.text(code_version()),
        **{f"run_{key}": value for key, value in extra.items()},
    }
    if rejected is not None:
        metadata["run_rows_rejected"] = sum(rejected.values())
        metadata["run_rejected_by_reason"] = MetadataValue.json(dict(list(rejected.items())[:REASONS_MAX]))
    if picture is not None:
        metadata["picture"] = picture
    return MaterializeResult(asset_key=name, metadata=metadata, check_results=[one.check for one in verdicts])
