"""Jobs: the daily chain, uploads, pre-market, recordings, retention."""

import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from dagster import (
    AssetSelection,
    Config,
    Failure,
    In,
    JobDefinition,
    MetadataValue,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    PipesSubprocessClient,
    ResourceParam,
    RetryPolicy,
    define_asset_job,
    graph,
    job,
    op,
)

from adapters.db.repos.pipeline import oldest_referred_day
from adapters.settings import CLONE_ROOT, Settings
from adapters.ticks.recorded_import import SandboxPrices, import_recordings, new_recordings
from adapters.ticks.recordings import past_recordings
from adapters.uploads.folder import ACCEPTED, REJECTED
from assets._shared.dress import GROUPS
from assets._shared.resources import Database, Market
from orchestration.processes import dagster_environment
from orchestration.retention import purge_runs
from propdesk.core.clock import from_ns
from propdesk.core.errors import PropdeskError
from propdesk.intake.profile import DOCUMENT_PROFILE
from propdesk.pipeline.validate import FOLLOWUP_REACH_DAYS

TOUCHED_FIRST: Final = "propdesk/touched_first"
TOUCHED_LAST: Final = "propdesk/touched_last"
REFERRED_FIRST: Final = "propdesk/referred_first"
"""Tag of an upload whose follow-ups change the outcome of older signals: the oldest of their days."""
CHAIN: Final = "propdesk/chain"
CHAIN_FIRST: Final = "propdesk/chain_first"
"""Tags of a run of steps 1 to 7: the last and (where there are several) first day for which steps 8 and 9
follow."""
PREMARKET_STEPS: Final = ("token", "scrip", "symbols", "regime", "corpus")
"""In their order; each is a word of `propdesk premarket`."""
RETRIES: Final = RetryPolicy(max_retries=1, delay=5)

SIGNALS_TO_EXCURSIONS: Final = define_asset_job(
    "signals_to_excursions",
    selection=AssetSelection.groups(*(GROUPS[n] for n in range(1, 8))),
    description="Steps 1 to 7 over the days from the oldest open trade to the day.",
)
METRICS_AND_RULES: Final = define_asset_job(
    "metrics_and_rules",
    selection=AssetSelection.groups(GROUPS[8], GROUPS[9]),
    description="Steps 8 and 9 for one as-of day, after steps 1 to 7.",
)
ALL_STEPS: Final = define_asset_job(
    "all_steps",
    selection=AssetSelection.groups(*GROUPS.values()),
    description="All nine steps over a range of days in one run, e.g. the days that an upload touched. Both "
    "ends of a range that is typed into the dialog must be market days: `[2025-04-03...2025-04-09]`.",
)


class UploadConfig(Config):
    """Which file to take in.

    Parameters
    ----------
    path : str
        In the upload folder.
    profile : str
        Source profile that names its columns.
    """

    path: str
    profile: str = "sample"


@op(description="Take one file of the upload folder in; it is moved to accepted/ or rejected/.")
def ingest_upload(
    context: OpExecutionContext,
    config: UploadConfig,
    database: ResourceParam[Database],
    market: ResourceParam[Market],
    settings: ResourceParam[Settings],
) -> None:
    """Ingest one file and leave the touched days as tags of the run."""
    from adapters.uploads import ingest_file

    path = Path(config.path)
    try:
        summary = ingest_file(
            database.engine,
            path,
            config.profile,
            market.calendar,
            market.clock,
            settings,
            uploaded_by="upload-folder",
        )
    except PropdeskError as error:
        _put_away(path, REJECTED)
        raise Failure(description=str(error), allow_retries=False) from error
    _put_away(path, ACCEPTED)
    context.add_output_metadata({"summary": MetadataValue.text(str(summary))})
    touched = [day for day in summary.trade_dates if day <= market.today()]
    _tag_touched(context, database, touched, (summary.upload_id,))


def _tag_touched(
    context: OpExecutionContext, database: Database, touched: Sequence[date], upload_ids: Sequence[str]
) -> None:
    """Leave the days that uploads touched, and how far back their follow-ups refer, as tags of the run."""
    if not touched:
        return
    tags = {TOUCHED_FIRST: touched[0].isoformat(), TOUCHED_LAST: touched[-1].isoformat()}
    with database.transaction() as connection:
        found = [oldest_referred_day(connection, one, touched[0], FOLLOWUP_REACH_DAYS) for one in upload_ids]
    referred = min((day for day in found if day is not None), default=None)
    if referred is not None:
        tags[REFERRED_FIRST] = referred.isoformat()
    context.instance.add_run_tags(context.run_id, tags)


@job(description="Take one uploaded file in; the days it touched are computed in a run that follows.")
def upload() -> None:
    """Ingest one file of the upload folder."""
    ingest_upload()


@op(description="Take in what is new, edited or taken back in the live collection since the last time.")
def ingest_signal_collection(
    context: OpExecutionContext,
    database: ResourceParam[Database],
    market: ResourceParam[Market],
    settings: ResourceParam[Settings],
) -> None:
    """Follow the collection and leave the touched days, today apart, as tags of the run."""
    from adapters.uploads.collection import ingest_collection

    try:
        summary = ingest_collection(
            database.engine,
            settings.mongo_collection,
            DOCUMENT_PROFILE,
            market.calendar,
            market.clock,
            settings,
            uploaded_by="collection-sensor",
        )
    except PropdeskError as error:
        raise Failure(description=str(error)) from error
    context.add_output_metadata({"summary": MetadataValue.text(str(summary))})
    # The day itself is computed by the runs after its close.
    touched = [day for day in summary.trade_dates if day < market.today()]
    _tag_touched(context, database, touched, summary.upload_ids)


@job(description="Follow the live collection; past days that it touched are computed in a run that follows.")
def collect() -> None:
    """Take in the live collection."""
    ingest_signal_collection()


def _put_away(path: Path, folder: str) -> None:
    """Move a file aside, so that the sensor does not see it again and the same name can be used anew."""
    target = path.parent / folder
    target.mkdir(exist_ok=True)
    path.replace(target / path.name)


@op(description="Remove the logs of old runs; what they materialised stays known.")
def purge_old_runs(
    context: OpExecutionContext, market: ResourceParam[Market], settings: ResourceParam[Settings]
) -> None:
    """Purge runs older than the retention setting."""
    before = from_ns(market.clock.now_ns()) - timedelta(days=settings.retention_runs_days)
    folders = [settings.dagster_home / "compute_logs", settings.dagster_home / "storage"]
    done = purge_runs(context.instance, before, folders)
    context.add_output_metadata(
        {
            "runs": done.runs,
            "events": done.events,
            "planned_checks": done.planned_checks,
            "folders": done.folders,
        }
    )


@job(description="Forget the logs of old runs.")
def retention() -> None:
    """Purge old runs."""
    purge_old_runs()


@op(description="Take into the price store what the daemons have recorded on past days.")
def import_past_recordings(
    context: OpExecutionContext, market: ResourceParam[Market], settings: ResourceParam[Settings]
) -> None:
    """Import every recording that is new; those that cannot be taken fail the run after the others are in."""
    today = market.today()
    new = new_recordings(market.prices, past_recordings(settings.home, today))
    reports, faults = import_recordings(market.prices, new, market.calendar, today)
    context.add_output_metadata(
        {
            "recordings": [str(Path(one.path).relative_to(settings.home)) for one in reports],
            "rows": sum(one.rows for one in reports),
            "accepted": sum(one.accepted for one in reports),
            "left_out": [str(fault) for _, fault in faults],
        }
    )
    refused = [str(fault) for _, fault in faults if not isinstance(fault, SandboxPrices)]
    if refused:
        raise Failure(" ".join(refused), allow_retries=False)


@job(description="Take in what the daemons have recorded on past days.")
def recordings() -> None:
    """Import past recordings."""
    import_past_recordings()


def _premarket_op(step: str, *, is_first: bool) -> OpDefinition:
    """Make the op of one step; it runs apart, so that no broker code or secret is loaded here."""

    @op(
        name=f"premarket_{step}",
        ins={} if is_first else {"after": In(Nothing)},
        out=Out(Nothing),
        retry_policy=RETRIES,
        description=f"Run `propdesk premarket {step}`.",
    )
    def run_step(
        context: OpExecutionContext,
        pipes: ResourceParam[PipesSubprocessClient],
        settings: ResourceParam[Settings],
    ) -> None:
        pipes.run(
            command=[sys.executable, "-m", "cli", "premarket", step],
            context=context,
            cwd=str(CLONE_ROOT),
            env=dagster_environment(settings.dagster_home, settings),
        )

    return run_step


def premarket_job() -> JobDefinition:
    """Chain the five pre-market steps; a failed one is taken up again by re-execution from failure.

    Returns
    -------
    JobDefinition
        ``premarket``.
    """
    ops = [_premarket_op(name, is_first=number == 0) for number, name in enumerate(PREMARKET_STEPS)]

    @graph(name="premarket", description="The five steps before the market opens (08:45 IST).")
    def premarket() -> None:
        done = ops[0]()
        for following in ops[1:]:
            done = following(after=done)

    return premarket.to_job()


PREMARKET: Final = premarket_job()
