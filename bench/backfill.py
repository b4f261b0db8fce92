"""Backfills of growing ranges: ``python -m bench.backfill [--months 1,3,6] [--last DAY]``.

Works on the running system of this data folder (`propdesk up`), whose tables are written anew with the same
content. Each range ends on the same day and goes through Dagster's queue as one run. Prints the time of each,
of its steps, and how well a straight line through the days tells them: what a day costs must not grow with
the range.
"""

import argparse
import sys
from datetime import date

import numpy as np
from dateutil.relativedelta import relativedelta

from adapters.calendar import load_calendar
from bench.machine import machine
from cli.backfill import running_webserver
from orchestration.launch import launch_range, snap_range, wait_for


def main() -> None:
    """Run the ranges, the shortest first, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", default="1,3,6", help="lengths of the ranges, separated by commas")
    parser.add_argument("--last", type=date.fromisoformat, default=date(2025, 6, 30), help="last day of each")
    options = parser.parse_args()
    calendar, base_url = load_calendar(), running_webserver()
    sys.stdout.write(f"{machine()}\n")
    days, seconds = [], []
    for months in sorted(int(word) for word in options.months.split(",")):
        begin = options.last - relativedelta(months=months) + relativedelta(days=1)
        first, last = snap_range(calendar, begin, options.last)
        state = wait_for(base_url, launch_range(base_url, first, last))
        if state.status != "SUCCESS":
            sys.exit(f"{first} to {last} ended as {state.status}: {base_url}/runs/{state.run_id}")
        days.append(len(calendar.market_days(first, last)))
        seconds.append(state.work_s or 0.0)
        steps = ", ".join(f"{step.seconds or 0:.1f}" for step in state.steps)
        sys.stdout.write(
            f"{months} months, {days[-1]} market days: {seconds[-1]:.1f} s, "
            f"{1000 * seconds[-1] / days[-1]:.0f} ms a day (steps {steps} s)\n"
        )
        sys.stdout.flush()
    if len(days) > 1:
        slope, start = np.polyfit(days, seconds, 1)
        off = np.max(np.abs(np.array(seconds) - (start + slope * np.array(days))) / np.array(seconds))
        sys.stdout.write(
            f"straight line: {start:.1f} s and {1000 * slope:.0f} ms a day, off by at most {off:.0%}\n"
        )


if __name__ == "__main__":
    main()
