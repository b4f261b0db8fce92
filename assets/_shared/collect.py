"""Step 1's first half: what lies in the live collection lands beside the uploads."""

from datetime import timedelta

from adapters.settings import Settings
from assets._shared.partitions import DayRange
from assets._shared.resources import Database, Market
from propdesk.intake.profile import DOCUMENT_PROFILE

LOOK_BACK = timedelta(days=7)
"""A signal posted on closed days belongs to the next market day; no closure lasts longer."""


def collect_documents(database: Database, market: Market, settings: Settings, days: DayRange) -> int:
    """Land the collection's signals that may belong to the days of a run.

    Parameters
    ----------
    database : Database
    market : Market
    settings : Settings
        Without a MongoDB nothing is done.
    days : DayRange
        Days of the run.

    Returns
    -------
    int
        Records that were new or revised; what had landed before is counted out.

    Raises
    ------
    MongoUnreachable
        If MongoDB is configured but does not answer.
    """
    if settings.mongo_url is None:
        return 0
    from adapters.uploads.collection import ingest_collection

    summary = ingest_collection(
        database.engine,
        settings.mongo_collection,
        DOCUMENT_PROFILE,
        market.calendar,
        market.clock,
        settings,
        days=(days.first - LOOK_BACK, days.last),
        uploaded_by="pipeline",
    )
    return summary.rows_accepted + summary.rows_revised
