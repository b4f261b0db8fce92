"""Run the nine steps in this process as of past days: ``python -m orchestration.rerun``.

Standard input names days, ``FIRST DAY`` a line: steps 1 to 7 run over the days from FIRST to DAY, steps 8 and
9 for DAY, with the prices up to DAY and the clock at its end. Standard output holds one JSON object a line.
The database and the data folder are those of the environment, which whoever starts it fills in.
"""

import json
import sys
from contextlib import redirect_stdout
from datetime import date

from dagster import DagsterInstance, materialize

from adapters.settings import Settings, load_settings
from assets._shared.resources import Database, Market
from orchestration.definitions import STEPS
from orchestration.jobs import METRICS_AND_RULES, SIGNALS_TO_EXCURSIONS
from orchestration.launch import RANGE_END, RANGE_START
from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, ManualClock


def rerun(settings: Settings, first: date, day: date) -> dict[str, str]:
    """Run the nine steps as they would have run at the end of a day.

    Parameters
    ----------
    settings : Settings
        Name the database that is worked in.
    first, day : date
        Closed range of steps 1 to 7; steps 8 and 9 follow for its last day.

    Returns
    -------
    dict of str to str
        Words of each step that failed; empty if none did.
    """
    clock = ManualClock(ist_midnight_ns(day) + NS_PER_DAY - 1)
    resources = {
        "database": Database(settings),
        "market": Market(settings, clock, until=day),
        "settings": settings,
    }
    failures: dict[str, str] = {}
    with DagsterInstance.ephemeral() as instance:
        for job, begin in ((SIGNALS_TO_EXCURSIONS, first), (METRICS_AND_RULES, day)):
            done = materialize(
                STEPS,
                selection=job.selection,
                instance=instance,
                resources=resources,
                tags={RANGE_START: begin.isoformat(), RANGE_END: day.isoformat()},
                raise_on_error=False,
            )
            for event in done.filter_events(lambda event: event.is_step_failure):
                error = event.step_failure_data.error
                # Around the step's error stands one of Dagster's own.
                inner = None if error is None else error.cause or error
                failures[str(event.step_key)] = "" if inner is None else " ".join(inner.message.split())
            if failures:
                break
    return failures


def main() -> int:
    """Run each day that standard input names and print what became of it."""
    import orchestration.preload  # noqa: F401  what stands is not looked through for garbage with every step

    # What the live collection held has landed; what it holds now was not known then.
    settings = load_settings().model_copy(update={"mongo_url": None})
    for line in sys.stdin:
        first, day = map(date.fromisoformat, line.split())
        with redirect_stdout(sys.stderr):  # libraries print too
            failures = rerun(settings, first, day)
        sys.stdout.write(json.dumps(failures) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
