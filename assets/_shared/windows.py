"""Which days of one step another step reads."""

import warnings
from typing import Final

from dagster import AssetDep, TimeWindowPartitionMapping
from dagster._utils.warnings import BetaWarning

from adapters.db.frames.rules import evidence_windows
from adapters.settings import load_settings


def window_market_days(window_days: int, evidence_days: int, validity_days: int) -> int:
    """Count the market days before an as-of day whose signals step 8 may read.

    Parameters
    ----------
    window_days : int
        Rolling window of the corpus replay, calendar days.
    evidence_days : int
        Longest window of the skill estimate, market days.
    validity_days : int
        Longest time from a signal to its entry, market days: the windows go by entry, partitions by signal.

    Returns
    -------
    int
        The longer of both windows and the validity. Five weekdays in seven days, rounded up, and one weekend
        session a month.

    Examples
    --------
    >>> window_market_days(90, 1, 15)
    84
    """
    weekdays = -(-window_days * 5 // 7) + 1
    return max(weekdays + window_days // 30, evidence_days) + validity_days


_SETTINGS = load_settings()
MARKET_DAYS_BEFORE: Final = window_market_days(
    _SETTINGS.window_days,
    max(evidence_windows(_SETTINGS)),
    max(_SETTINGS.validity_swing_days, _SETTINGS.validity_positional_days),
)
"""Market days before an as-of day that step 8 may read, by the settings at import."""
with warnings.catch_warnings():
    # The flag is marked as beta; the release is pinned, and the first as-of days have no whole window
    # before them.
    warnings.simplefilter("ignore", BetaWarning)
    WINDOW: Final = TimeWindowPartitionMapping(
        start_offset=-MARKET_DAYS_BEFORE,
        allow_nonexistent_upstream_partitions=True,
    )
"""With excluded days the offset counts market days. The steps cut their exact windows themselves."""


def window_of(*names: str) -> list[AssetDep]:
    """Depend on the windows of tables by trade date."""
    return [AssetDep(name, partition_mapping=WINDOW) for name in names]
