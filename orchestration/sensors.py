"""Sensors: the upload folder, what follows a run, failures, the daemon's heartbeat, stale tables."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Final

from dagster import (
    AssetKey,
    DagsterRunStatus,
    DefaultSensorStatus,
    RepositoryDefinition,
    ResourceParam,
    RunConfig,
    RunFailureSensorContext,
    RunRequest,
    RunStatusSensorContext,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    run_failure_sensor,
    run_status_sensor,
    sensor,
)
from dagster_shared.error import SerializableErrorInfo

from adapters.db.repos.alerts import Alert, raise_alert
from adapters.db.repos.collections import read_position
from adapters.db.repos.dead_man import tell_silent
from adapters.db.repos.pipeline import newest_landed_day
from adapters.db.repos.signal_log import mongo_chain
from adapters.log import get_logger
from adapters.settings import Settings
from adapters.uploads.folder import choose_stable, look_at_folder, profile_of
from assets._shared.partitions import MARKET_DAYS
from assets._shared.resources import Database, Market
from orchestration.freshness import due_day, judge_freshness
from orchestration.jobs import (
    ALL_STEPS,
    CHAIN,
    CHAIN_FIRST,
    METRICS_AND_RULES,
    PREMARKET,
    REFERRED_FIRST,
    SIGNALS_TO_EXCURSIONS,
    TOUCHED_FIRST,
    TOUCHED_LAST,
    UploadConfig,
    collect,
    upload,
)
from orchestration.launch import RANGE_END, RANGE_START, snap_range
from propdesk.core.calendar import MarketCalendar, Segment
from propdesk.core.clock import NS_PER_SECOND, from_ns
from propdesk.core.errors import DataFault

RUNNING: Final = DefaultSensorStatus.RUNNING
FILES_NAMED: Final = 5
"""Names shown of the files that wait."""


@sensor(
    job=upload,
    minimum_interval_seconds=5,
    default_status=RUNNING,
    description="Takes files from the upload folder once they have stopped changing. A file in a subfolder "
    "is read by the source profile of that name.",
)
def upload_folder(
    context: SensorEvaluationContext, settings: ResourceParam[Settings]
) -> SensorResult | SkipReason:
    """Ask for one ingest per file that is complete."""
    if not settings.upload_dir.is_dir():
        return SkipReason(f"The upload folder {settings.upload_dir} does not exist: make it.")
    before = {name: (stamp[0], stamp[1]) for name, stamp in json.loads(context.cursor or "{}").items()}
    now = look_at_folder(settings.upload_dir)
    requests = []
    for name in choose_stable(now, before):
        config = UploadConfig(path=str(settings.upload_dir / name), profile=profile_of(name))
        size, modified = now[name]
        requests.append(
            RunRequest(
                # The same file is asked for once, however often it is seen while its run waits.
                run_key=f"upload:{name}:{size}:{modified}",
                run_config=RunConfig(ops={"ingest_upload": config}),
                tags={"propdesk/file": name},
            )
        )
    changing = ", ".join(sorted(now)[:FILES_NAMED])
    said = f"Looked at again until they stop changing: {changing}." if now else "No file waits."
    return SensorResult(
        run_requests=requests,
        skip_reason=None if requests else said,
        cursor=json.dumps(now, sort_keys=True),
    )


@sensor(
    job=collect,
    minimum_interval_seconds=300,
    default_status=RUNNING,
    description="Follows the live collection outside market hours: late ideas, edits and deletions of "
    "past days. The day's own ideas are read by step 1.",
)
def signal_collection_changes(
    context: SensorEvaluationContext,
    database: ResourceParam[Database],
    market: ResourceParam[Market],
    settings: ResourceParam[Settings],
) -> RunRequest | SkipReason:
    """Ask for a reading when the collection has news."""
    if settings.mongo_url is None:
        return SkipReason("No MongoDB is configured.")
    if market_is_open(market):
        return SkipReason("The market is open; step 1 reads the day's ideas.")
    from adapters.mongo.batch import MongoUnreachable
    from adapters.mongo.follow import CollectionReader

    chain = mongo_chain(settings.mongo_database, settings.mongo_collection)
    with database.transaction() as connection:
        position = read_position(connection, chain)
    place = (settings.mongo_dsn(), settings.mongo_database, settings.mongo_collection)
    try:
        with CollectionReader(*place, size=1) as reader:
            if not reader.has_news(position):
                return SkipReason("The collection has no news.")
    except MongoUnreachable as error:
        return SkipReason(str(error))
    # One reading per position and hour: news is not asked for twice while it waits, but is after a failure.
    hour = market.clock.now_ns() // (3_600 * NS_PER_SECOND)
    return RunRequest(run_key=f"collect:{chain}:{position}:{hour}")


def market_is_open(market: Market) -> bool:
    """Tell whether the market's longest session is on at this moment."""
    today = market.today()
    if not market.calendar.is_market_day(today):
        return False
    hours = market.calendar.hours(today, Segment.DERIVATIVES)
    return bool(hours.open_ns <= market.clock.now_ns() < hours.close_ns)


@run_status_sensor(
    run_status=DagsterRunStatus.SUCCESS,
    monitored_jobs=[upload, collect],
    request_jobs=[ALL_STEPS, SIGNALS_TO_EXCURSIONS],
    minimum_interval_seconds=5,
    default_status=RUNNING,
    description="Computes the days that an upload touched, in one run; where its follow-ups reach back to "
    "older signals, steps 1 to 7 from those on first.",
)
def after_upload(context: RunStatusSensorContext, market: ResourceParam[Market]) -> RunRequest | SkipReason:
    """Follow an ingested file with all nine steps over its days."""
    run = context.dagster_run
    if TOUCHED_FIRST not in run.tags:
        return SkipReason("The file brought nothing new.")
    try:
        return request_after_upload(market.calendar, run.run_id, run.tags)
    except DataFault as error:
        return SkipReason(str(error))


def request_after_upload(calendar: MarketCalendar, upload_run_id: str, tags: Mapping[str, str]) -> RunRequest:
    """Ask for the days that an upload touched.

    Parameters
    ----------
    calendar : MarketCalendar
    upload_run_id : str
        Run that took the file in.
    tags : mapping
        Its tags: the days touched, and the oldest day that a follow-up refers to.

    Returns
    -------
    RunRequest
        All nine steps over the touched days. With follow-ups to older signals steps 1 to 7 from the oldest
        one's day on, after which steps 8 and 9 follow for the touched days: a follow-up changes no as-of day
        before its own.

    Raises
    ------
    DataFault
        If no market day since the first partition was touched.
    """
    start = MARKET_DAYS.start.date()
    touched = max(date.fromisoformat(tags[TOUCHED_FIRST]), start)
    first, last = snap_range(calendar, touched, date.fromisoformat(tags[TOUCHED_LAST]))
    key, days = f"after:{upload_run_id}", {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}
    if REFERRED_FIRST not in tags:
        return RunRequest(run_key=key, job_name=ALL_STEPS.name, tags=days)
    oldest, _ = snap_range(calendar, max(date.fromisoformat(tags[REFERRED_FIRST]), start), last)
    chain = {CHAIN_FIRST: first.isoformat(), CHAIN: last.isoformat(), RANGE_START: oldest.isoformat()}
    return RunRequest(run_key=key, job_name=SIGNALS_TO_EXCURSIONS.name, tags={**days, **chain})


@run_status_sensor(
    run_status=DagsterRunStatus.SUCCESS,
    monitored_jobs=[SIGNALS_TO_EXCURSIONS],
    request_job=METRICS_AND_RULES,
    minimum_interval_seconds=5,
    default_status=RUNNING,
    description="Lets steps 8 and 9 for the day follow the daily run of steps 1 to 7.",
)
def after_excursions(context: RunStatusSensorContext) -> RunRequest | SkipReason:
    """Follow a daily run with the metrics and rules of its day, or those of the days that a file touched."""
    tags = context.dagster_run.tags
    day = tags.get(CHAIN)
    if day is None:
        return SkipReason("Not a run of the daily chain.")
    days = {RANGE_START: tags.get(CHAIN_FIRST, day), RANGE_END: day}
    return RunRequest(run_key=f"after:{context.dagster_run.run_id}", tags=days)


@run_failure_sensor(
    minimum_interval_seconds=10,
    default_status=RUNNING,
    description="Stores an alert for every failed run; a failed pre-market is critical.",
)
def failed_run(
    context: RunFailureSensorContext, database: ResourceParam[Database], market: ResourceParam[Market]
) -> None:
    """Tell a person that a run failed."""
    run, steps = context.dagster_run, context.get_step_failure_events()
    reason = "; ".join(f"{s.step_key}: {root_cause(s.step_failure_data.error)}" for s in steps)
    reason = reason or str(context.failure_event.message)
    alert = Alert(
        account_id=database.account_id,
        kind="RUN_FAILURE",
        subject=run.run_id,
        severity="critical" if run.job_name == PREMARKET.name else "warning",
        message=f"{run.job_name} failed: {reason}",
        raised_at=from_ns(market.clock.now_ns()),
        run_id=run.run_id,
    )
    get_logger(run_id=run.run_id).error("run_failed", job=run.job_name, reason=reason)
    with database.transaction() as connection:
        raise_alert(connection, alert)


def root_cause(error: SerializableErrorInfo | None) -> str:
    """Give the words of the innermost cause of a failure, on one line without its class."""
    while error is not None and error.cause is not None:
        error = error.cause
    words = " ".join(error.message.split()) if error else "no reason is known"
    return words.partition(": ")[2] or words


@sensor(
    minimum_interval_seconds=30,
    default_status=RUNNING,
    description="Stores a critical alert when a trading daemon falls silent in market hours, or never lived "
    "though its account is ready for the day or carries positions.",
)
def daemon_heartbeat(
    context: SensorEvaluationContext, database: ResourceParam[Database], market: ResourceParam[Market]
) -> SkipReason:
    """Watch the daemons' heartbeats in market hours."""
    with database.transaction() as connection:
        found = tell_silent(connection, market.calendar, market.clock.now_ns())
    if found is None:
        return SkipReason("Outside market hours.")
    if not found.watched:
        return SkipReason("No trading daemon has to run on this day.")
    return SkipReason(f"{len(found.silent)} of {found.watched} tasks of the trading daemon are silent.")


@sensor(
    minimum_interval_seconds=600,
    default_status=RUNNING,
    description="Stores an alert when tables lack the newest market day that is due (20:00 IST). A past "
    "data set, as the sample is, is not judged.",
)
def freshness(
    context: SensorEvaluationContext, database: ResourceParam[Database], market: ResourceParam[Market]
) -> SkipReason:
    """Judge the tables against the market calendar."""
    now, repository = market.clock.now_ns(), context.repository_def
    keys = (
        [key for key in repository.asset_graph.executable_asset_keys if _is_daily(repository, key)]
        if repository
        else []
    )
    due = due_day(market.calendar, now)
    with database.transaction() as connection:
        newest = newest_landed_day(connection, due)
        found = judge_freshness(context.instance, keys, market.calendar, due, newest)
        if found.late:
            account = database.account_id
            stale = Alert(account, "STALE", str(found.due), "warning", found.sentence, from_ns(now))
            raise_alert(connection, stale)
    return SkipReason(found.sentence)


def _is_daily(repository: RepositoryDefinition, key: AssetKey) -> bool:
    return bool(repository.asset_graph.get(key).partitions_def == MARKET_DAYS)


SENSORS: Final = [
    upload_folder,
    signal_collection_changes,
    after_upload,
    after_excursions,
    failed_run,
    daemon_heartbeat,
    freshness,
]
