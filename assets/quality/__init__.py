"""Great Expectations suites as asset checks, with their results kept per day."""

from datetime import date
from typing import Any

import pandas as pd
from dagster import AssetCheckResult, AssetCheckSeverity, AssetExecutionContext, MetadataValue

from adapters.db.frames.quality import write_daily_results
from adapters.quality import SuiteResult, run_rules, run_suite
from assets._shared.dress import CHECK
from assets._shared.partitions import DayRange, worked_days
from assets._shared.report import Judged
from assets._shared.resources import Writing

Results = list[dict[str, Any]]


def results_by_day(
    whole: SuiteResult, frame: pd.DataFrame, days: list[date], day_column: str
) -> dict[date, Results]:
    """Split a verdict over a range into one per day.

    Parameters
    ----------
    whole : SuiteResult
        Of the whole frame.
    frame : DataFrame
    days : list of date
        Every day of the range, those without rows too.
    day_column : str
        Holds `datetime.date`.

    Returns
    -------
    dict
        Per day the results of every expectation.

    Notes
    -----
    A day's results are those of the day alone, whatever range it was computed with. A rule that no row of the
    whole frame breaks is broken on no day; the others (broken, or broken by fewer rows than they tolerate)
    are judged day by day.
    """
    unclear = [one["expectation"] for one in whole.results if not one["success"] or one["count_unexpected"]]
    if not unclear:
        counts = frame[day_column].value_counts().to_dict()
        return {day: [{**one, "count_rows": counts.get(day, 0)} for one in whole.results] for day in days}
    parts = dict(iter(frame.groupby(day_column, sort=True)))
    found: dict[date, Results] = {}
    for day in days:
        part = parts.get(day, frame.iloc[:0])
        own = {one["expectation"]: one for one in run_rules(whole.suite, part, unclear)}
        found[day] = [own.get(one["expectation"], {**one, "count_rows": len(part)}) for one in whole.results]
    return found


def day_sentence(results: Results) -> str:
    """Say a day's verdict for the day's page; names what does not hold.

    Parameters
    ----------
    results : list of dict
        Of one day, by `results_by_day`.

    Returns
    -------
    str
    """
    broken = [str(one["expectation"]) for one in results if not one["success"]]
    if not broken:
        return f"all {len(results)} expectations hold"
    return f"{len(broken)} of {len(results)} expectations do not hold: {'; '.join(broken)}"


def judge(
    context: AssetExecutionContext,
    work: Writing,
    name: str,
    frame: pd.DataFrame,
    days: DayRange,
    *,
    day_column: str = "trade_date",
) -> Judged:
    """Run a table's suite, keep the results of every day and give the run's verdict.

    Parameters
    ----------
    context : AssetExecutionContext
    work : Writing
        The step's transaction.
    name : str
        Key of the asset, which is also the name of its suite.
    frame : DataFrame
        What the step writes.
    days : DayRange
        What the run worked on.
    day_column : str
        Partition column of the frame.

    Returns
    -------
    Judged
        Failed with severity ERROR, which stops what follows, where a blocking expectation does not hold; with
        severity WARN where only others do not.
    """
    found = run_suite(name, frame)
    worked = worked_days(context, days)
    daily = results_by_day(found, frame, worked, day_column)
    work.later(write_daily_results, days.first, days.last, name, found.suite, context.run_id, daily)
    failures = {
        one["expectation"]: {k: one[k] for k in ("count_unexpected", "examples", "error")}
        for one in found.failures
    }
    check = AssetCheckResult(
        check_name=CHECK,
        asset_key=name,
        passed=found.success,
        severity=AssetCheckSeverity.ERROR if found.is_blocked else AssetCheckSeverity.WARN,
        description=found.sentence,
        metadata={
            "expectations": len(found.results),
            "rows": len(frame),
            "failures": MetadataValue.json(failures),
        },
    )
    return Judged(check, {day.isoformat(): day_sentence(results) for day, results in daily.items()})
