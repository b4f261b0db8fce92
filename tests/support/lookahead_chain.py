"""The daily chain's market at a desk, and a step that peeks.

As a program: ``play FOLDER`` computes all days of `tests.support.daily_chain` at once, ``rerun`` is
`orchestration.rerun`. With ``PLANT`` in the environment both take the regime of a day from the close of the
next one, where the bars that were read hold it.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from adapters.settings import Settings, load_settings
from propdesk.core.calendar import ist_midnight_ns

PLANT: Final = "LOOKAHEAD_PLANT"


def plant() -> None:
    """Make step 6 look at the day after."""
    from assets import regime

    honest = regime.compute_regimes

    def peeking(daily: Mapping[str, Any], dates: Any, *rest: Any) -> pd.DataFrame:
        found = honest(daily, dates, *rest)
        market = daily[regime.MARKET_KEY]
        for row, (day, scope) in enumerate(zip(found["trade_date"], found["scope"], strict=True)):
            at = int(np.searchsorted(market.start_ns, ist_midnight_ns(day), side="right"))
            if scope == "MARKET" and at < len(market.start_ns):
                rises = market.close_paise[at] > market.close_paise[at - 1]
                found.loc[row, "label"] = "TRENDING_BULLISH" if rises else "TRENDING_BEARISH"
        return found

    regime.compute_regimes = peeking


def play(settings: Settings, folder: Path) -> None:
    """Bring everything in and compute all days in one run, as a backfill does."""
    from adapters.calendar import load_calendar
    from adapters.db.engine import create_engine
    from adapters.db.repos.instruments import load_instruments
    from adapters.ticks.store import ParquetPriceStore
    from orchestration.jobs import ALL_STEPS
    from orchestration.launch import RANGE_END, RANGE_START
    from tests.support import daily_chain as chain

    engine = create_engine(settings.database_url(), "tests")
    load_instruments(engine, [chain.instrument(stock) for stock in chain.STOCKS], "test")
    engine.dispose()
    store, player = ParquetPriceStore(settings.price_store_url, load_calendar()), chain.Player(settings)
    for number, day in enumerate(chain.DAYS):
        chain.bring_prices(store, number)
        player.clock.advance_to(ist_midnight_ns(day) + 16 * 3_600 * 1_000_000_000)
        chain.take_in(settings, chain.write_signals(folder, number), player)
    player.materialise(ALL_STEPS, {RANGE_START: str(chain.DAYS[0]), RANGE_END: str(chain.DAYS[-1])})


def main() -> int:
    """Play the market, or run the steps as asked."""
    if os.environ.get(PLANT):
        plant()
    if sys.argv[1] == "play":
        with redirect_stdout(sys.stderr):
            import orchestration.preload  # noqa: F401  as the process that runs are forked from

            play(load_settings(runtime=False), Path(sys.argv[2]))
        return 0
    from orchestration.rerun import main as rerun

    return rerun()


if __name__ == "__main__":
    sys.exit(main())
