from datetime import date, timedelta

import numpy as np
import pytest

from adapters.config_files import load_charges, load_slippage
from propdesk.model.enums import Category, Side
from propdesk.pipeline.costs import (
    EPOCH_ORDINAL,
    SEGMENTS,
    Orders,
    charges_of,
    slippage_paise,
    slippage_per_unit,
)
from propdesk.risk.charges import ChargedFill, ChargeSegment, trade_charges
from propdesk.risk.slippage import slippage_per_unit_paise


@pytest.mark.parametrize("seed", range(3))
def test_vectorised_charges_equal_the_readable_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trades, orders = 300, 1_500
    segment = rng.integers(0, len(SEGMENTS), trades)
    first = date(2024, 8, 1)
    owner = rng.integers(0, trades, orders)
    day = np.array([(first + timedelta(days=int(d))).toordinal() for d in rng.integers(0, 800, orders)])
    # a handful of days per trade, so that several orders share a bill
    day = np.where(rng.random(orders) < 0.7, day[owner % 40], day)
    settles = (rng.random(orders) < 0.1) & (segment[owner] == SEGMENTS.index(ChargeSegment.OPTIONS))
    rows = Orders(
        owner, day - EPOCH_ORDINAL, rng.random(orders) < 0.5, settles, rng.integers(0, 10**10, orders)
    )
    model = load_charges()
    found = charges_of(model, segment, rows)
    for trade in range(trades):
        fills = [
            ChargedFill(
                date.fromordinal(int(day[i])),
                Side.BUY if rows.is_buy[i] else Side.SELL,
                int(rows.turnover[i]),
                bool(settles[i]),
            )
            for i in np.flatnonzero(owner == trade)
            if rows.turnover[i] > 0
        ]
        assert found[trade] == trade_charges(model, SEGMENTS[segment[trade]], fills).total_paise


def test_no_orders_cost_nothing() -> None:
    nothing = np.empty(0, np.int64)
    rows = Orders(nothing, nothing, nothing.astype(bool), nothing.astype(bool), nothing)
    assert charges_of(load_charges(), np.zeros(2, np.int64), rows).tolist() == [0, 0]


def test_vectorised_slippage_equals_the_readable_one() -> None:
    rng = np.random.default_rng(5)
    model, categories = load_slippage(), tuple(Category)
    code = rng.integers(0, len(categories), 200)
    share = np.where(rng.random(200) < 0.3, np.nan, rng.random(200) * 2)
    price = rng.integers(1, 10**7, 200)
    ppm = slippage_per_unit(model, categories, code, share)
    found = slippage_paise(price, ppm, np.ones(200, np.int64))
    wanted = [
        slippage_per_unit_paise(model, categories[c], int(p), None if np.isnan(s) else float(s))
        for c, p, s in zip(code, price, share, strict=True)
    ]
    assert found.tolist() == wanted
