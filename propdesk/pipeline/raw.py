"""Step 1: of all that landed, the revision that counts."""

import pandas as pd

RAW_COLUMNS = (
    "trade_date",
    "record_id",
    "kind",
    "revision",
    "upload_id",
    "row_number",
    "posted_at",
    "received_at",
    "content",
    "content_hash",
)


def current_revisions(landed: pd.DataFrame) -> pd.DataFrame:
    """Keep the newest revision of each record (§1.3).

    Parameters
    ----------
    landed : DataFrame
        Columns of ``raw.landed_rows``; every revision that could count.

    Returns
    -------
    DataFrame
        Columns of ``raw.raw_signals``, one row per record, by trade_date and record_id.

    Notes
    -----
    The older ones stay in ``raw.landed_rows``: both are auditable.
    """
    newest = landed.sort_values(["record_id", "revision"], kind="stable").drop_duplicates(
        "record_id", keep="last"
    )
    return newest[list(RAW_COLUMNS)].sort_values(
        ["trade_date", "record_id"], kind="stable", ignore_index=True
    )
