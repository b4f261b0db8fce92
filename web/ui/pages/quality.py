"""Data: what came in, what could not be used, what the checks say, what a person must hear of."""

from typing import Final

from nicegui import ui

from web.ui.frame import PageSpec
from web.ui.grid import ADVISOR_LINK, GridSpec, grid
from web.ui.visit import Visit
from web.ui.widgets import heading

_TRUE_FALSE: Final = ("true", "false")


async def build(visit: Visit) -> None:
    """Draw the page."""
    if visit.house.dagster_url is not None:
        ui.link(
            "Lineage of every table in Dagster ↗", f"{visit.house.dagster_url}/asset-groups", new_tab=True
        )
    heading("Matters to hear of", "What the pipeline found that a person should look at.")
    grid(visit, GridSpec("alerts", ("raised_at", "severity", "kind", "subject", "message"), is_small=True))
    heading("Uploads", "Each attempt to bring a file in, with what became of its rows.")
    rows = ("rows_read", "rows_accepted", "rows_duplicate", "rows_revised", "rows_quarantined")
    uploads = (
        "ingested_at",
        "file_name",
        "status",
        *rows,
        "first_trade_date",
        "last_trade_date",
        "uploaded_by",
        "error",
    )
    grid(visit, GridSpec("uploads", uploads, is_small=True))
    heading("Quarantine", "Rows that could not be used, with the reason; none is ever dropped.")
    columns: tuple[str, ...] = (
        "trade_date",
        "stage",
        "reason_codes",
        "message",
        "status",
        "row_number",
        "content",
    )
    grid(visit, GridSpec("quarantine", columns))
    heading("Expectations", "Great Expectations by day and table; a blocking one that fails stops its day.")
    columns = (
        "partition_date",
        "asset",
        "expectation",
        "success",
        "is_blocking",
        "count_rows",
        "count_unexpected",
    )
    choices = {"success": _TRUE_FALSE, "is_blocking": _TRUE_FALSE}
    grid(visit, GridSpec("quality-results", columns, choices=choices))
    heading("Signal log", "Every change of a signal as it was heard, chained by hashes.")
    columns = (
        "logged_at",
        "change",
        "kind",
        "advisor_id",
        "origin",
        "claimed_at",
        "received_at",
        "record_id",
    )
    grid(visit, GridSpec("signal-log", columns, {"advisor_id": ADVISOR_LINK}, is_small=True))
    heading("Regimes", "Known before the open of the day.")
    grid(
        visit,
        GridSpec("regimes", ("trade_date", "scope", "label", "reason", "realised_label"), is_small=True),
    )


PAGES: Final = (PageSpec("/data-quality", "Data quality", build, menu="Data quality"),)
