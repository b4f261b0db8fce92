"""What step 6 asks of the database beyond its own table."""

from datetime import date

import pandas as pd

from adapters.db.frames.copy import Connection, read_frame


def read_needed_scopes(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read which underlyings the ideas of each trade date in [first, last] are about.

    Returns
    -------
    DataFrame
        trade_date, underlying_key; each pair once.
    """
    return read_frame(
        connection,
        "SELECT DISTINCT trade_date, underlying_key FROM research.trades WHERE trade_date BETWEEN %s AND %s"
        " ORDER BY trade_date, underlying_key",
        (first, last),
    )
