"""Every page, in the order of the navigation."""

from typing import Final

from web.ui.frame import PageSpec
from web.ui.pages import (
    advisors,
    audit,
    commands,
    crowd,
    messages,
    overview,
    quality,
    rules,
    signals,
    simulations,
    trades,
)

PAGES: Final[tuple[PageSpec, ...]] = (
    *overview.PAGES,
    *advisors.PAGES,
    *rules.PAGES,
    *signals.PAGES,
    *trades.PAGES,
    *crowd.PAGES,
    *commands.PAGES,
    *messages.PAGES,
    *simulations.PAGES,
    *quality.PAGES,
    *audit.PAGES,
)
