"""Which labels of step 6 a day keeps: the market's, and those of the underlyings its ideas are about."""

import pandas as pd

from propdesk.pipeline.regime import MARKET_SCOPE


def keep_needed(labels: pd.DataFrame, needed: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows that the ideas of their own day need.

    Parameters
    ----------
    labels : DataFrame
        From `compute_regimes`: trade_date, scope and more.
    needed : DataFrame
        trade_date and underlying_key of the ideas, repeats allowed.

    Returns
    -------
    DataFrame
        Same columns and order. A day's rows do not depend on which other days were computed with it, so
        that a day computed alone equals the same day computed within a range.

    Examples
    --------
    >>> labels = pd.DataFrame({"trade_date": [1, 1, 1], "scope": ["MARKET", "A", "B"]})
    >>> needed = pd.DataFrame({"trade_date": [1], "underlying_key": ["NSE_EQ:B"]})
    >>> keep_needed(labels, needed)["scope"].tolist()
    ['MARKET', 'B']
    """
    scopes = needed["underlying_key"].astype(str).str.partition(":")[2]
    wanted = set(zip(needed["trade_date"].tolist(), scopes.tolist(), strict=True))
    kept = [
        scope == MARKET_SCOPE or (day, scope) in wanted
        for day, scope in zip(labels["trade_date"].tolist(), labels["scope"].tolist(), strict=True)
    ]
    return labels[kept].reset_index(drop=True)
