"""One day through all nine steps: ``python -m bench.one_day [--day DAY] [--rounds N]``.

Works on the running system of this data folder (`propdesk up`), whose tables of the day are written anew with
the same content. Prints, in one run: rounds in this one process, whose imports and parsed dbt project stand
already, with the time of each step; nine empty assets of the same partition in the same way, which is what
Dagster itself takes; and the same day through Dagster's queue.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from dagster import AssetsDefinition, DagsterInstance, asset, materialize

import orchestration.preload  # noqa: F401  as in the process from which runs are forked
from adapters.db.frames.skill import newest_group_day
from adapters.settings import load_settings
from assets._shared.partitions import MARKET_DAYS
from assets._shared.resources import Database, Market
from bench.machine import machine
from cli.backfill import running_webserver
from orchestration.definitions import STEPS
from orchestration.launch import RANGE_END, RANGE_START, launch_range, wait_for

_EMPTY_ASSETS = 9
_QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds of one run in this process: by the clock, of this processor, and of each step."""

    wall: float
    cpu: float
    steps: dict[str, float]


def main() -> None:
    """Run every way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--day", type=date.fromisoformat, help="a market day (default: the last one computed)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs in this process")
    options = parser.parse_args()
    settings = load_settings()
    database = Database(settings)
    with database.transaction() as connection:
        day = options.day or newest_group_day(connection)
    resources = {"database": database, "market": Market(settings), "settings": settings}
    own = [_timed(lambda: _run(STEPS, day, resources)) for _ in range(options.rounds)]
    empty = [_timed(lambda: _run(_empty_assets(), day, {})) for _ in range(options.rounds)]
    base_url = running_webserver()
    begun = time.perf_counter()
    state = wait_for(base_url, launch_range(base_url, day, day))
    queued = time.perf_counter() - begun
    sys.stdout.write(f"{machine()}\n{day}, all nine steps\n")
    for number, one in enumerate(own, 1):
        sys.stdout.write(f"in one process, run {number}: {one.wall:.2f} s, processor time {one.cpu:.2f} s\n")
    for name, seconds in own[-1].steps.items():
        sys.stdout.write(f"    {seconds:6.2f} s {name}\n")
    best, bare = min(one.wall for one in own), min(one.wall for one in empty)
    sys.stdout.write(
        f"nine empty assets: {bare:.2f} s; the best run takes {best / bare:.1f} times as long\n"
        f"through the queue: {queued:.1f} s ({state.status}; {state.wait_s or 0:.1f} s to the first step, "
        f"then {state.work_s or 0:.1f} s), {queued / best:.1f} times the best run in one process\n"
    )


def _empty_assets() -> list[AssetsDefinition]:
    def empty(name: str, before: Sequence[str]) -> AssetsDefinition:
        @asset(name=name, deps=list(before), partitions_def=MARKET_DAYS)
        def nothing() -> None:
            """Do nothing."""

        return nothing

    names = [f"empty_{number}" for number in range(_EMPTY_ASSETS)]
    return [empty(name, names[max(place - 1, 0) : place]) for place, name in enumerate(names)]


def _run(assets: Sequence[AssetsDefinition], day: date, resources: dict[str, Any]) -> dict[str, float]:
    with DagsterInstance.ephemeral() as instance:
        done = materialize(
            assets,
            instance=instance,
            resources=resources,
            run_config=_QUIET,
            tags={RANGE_START: day.isoformat(), RANGE_END: day.isoformat()},
        )
    ended = done.filter_events(lambda event: event.is_step_success)
    return {str(one.step_key): one.step_success_data.duration_ms / 1000 for one in ended}


def _timed(work: Callable[[], dict[str, float]]) -> Round:
    wall, cpu = time.perf_counter(), time.process_time()
    steps = work()
    return Round(time.perf_counter() - wall, time.process_time() - cpu, steps)


if __name__ == "__main__":
    main()
