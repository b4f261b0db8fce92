"""Whether an advisor's ideas can be copied: what is left of them for somebody who hears them late (§3.8).

Good results on paper are no use where the price has gone before the idea arrives, where its entry is never
reached, or where a desk's order is as large as the market.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from propdesk.core.calendar import MarketCalendar
from propdesk.execution.lifetime import LifetimeRules
from propdesk.model.enums import CLOSED_EXIT_REASONS, ExitReason, Period
from propdesk.pipeline.conduct import ConductFlag
from propdesk.pipeline.groups_prepare import FloatArray, floats
from propdesk.pipeline.trade_plan import BLOCKING

_CLOSED = [reason.value for reason in CLOSED_EXIT_REASONS]
_LATE = ConductFlag.RECEIVED_AFTER_MOVE.value
_MISSED = [ExitReason.NOT_TRIGGERED.value, ExitReason.GAPPED_THROUGH.value]


@dataclass(frozen=True, slots=True)
class CopyConfig:
    """Settings of the judgement.

    Attributes
    ----------
    window_days : int
        Ideas whose trade date lies within so many calendar days, the as-of date included.
    lifetime : LifetimeRules
        How long an entry stays valid: until then an idea is not missed.
    share_limit : float
        Largest order value as a fraction of the average five-minute traded value.
    """

    window_days: int
    lifetime: LifetimeRules
    share_limit: float


def copyability(
    trades: pd.DataFrame,
    flags: pd.DataFrame,
    audit: pd.DataFrame,
    calendar: MarketCalendar,
    as_of: date,
    config: CopyConfig,
) -> pd.DataFrame:
    """Judge every advisor by what was known at the end of a day.

    Parameters
    ----------
    trades : DataFrame
        Rows of ``research.trades``; later ideas, entries and exits are not used.
    flags : DataFrame
        Rows of ``research.signal_flags``.
    audit : DataFrame
        Rows of ``research.outcome_audit``.
    calendar : MarketCalendar
        Counts the days of validity.
    as_of : date
    config : CopyConfig

    Returns
    -------
    DataFrame
        One row per advisor with an idea in the window, by ``net_r_per_idea``, the best first (unknown last):
        ``ideas``; ``reached, missed, pending, undecided`` (their sum: entry made, never reached, may still be
        made, nobody can tell or no trade for this desk); ``reach_rate`` (of reached and missed);
        ``delay_s, delay_p90_s`` (claim to receipt), ``moved_at_receipt_r`` (median, beyond the entry),
        ``delay_cost_r`` (mean move between claim and receipt), ``late_share`` (target passed or the price
        too far gone at receipt); ``entry_slip_r`` (fill against the stated entry), ``cost_r`` (slippage and
        charges), ``shortfall_r`` (both); ``net_r_per_idea`` (net R of what closed, nothing for what was
        missed; unknown where no idea has a stop); ``audited, agreement_rate, flattering_ratio,
        claimed_untriggered`` (what the advisor says became of the ideas); ``order_share`` (median order value
        over the average traded value of five minutes), ``capacity_paise`` (order value that half of the ideas
        can take); ``withdrawn`` (taken back by then). Fractions; null where nothing is known.
    """
    begun = pd.to_datetime(trades["trade_date"])
    first, last = pd.Timestamp(as_of - timedelta(days=config.window_days - 1)), pd.Timestamp(as_of)
    ideas = trades[(begun >= first) & (begun <= last)]
    table = _told(_states(ideas, calendar, as_of, config), flags, audit, as_of)
    rows = [_judge(str(name), part, config) for name, part in table.groupby("advisor_id", sort=True)]
    found = pd.DataFrame(rows, columns=list(_judge("", table.iloc[:0], config)))
    return found.sort_values(
        ["net_r_per_idea", "advisor_id"], ascending=[False, True], na_position="last", ignore_index=True
    )


def _states(ideas: pd.DataFrame, calendar: MarketCalendar, as_of: date, config: CopyConfig) -> pd.DataFrame:
    """Add what had become of each idea by the end of the day."""
    today = pd.Timestamp(as_of)
    reason = ideas["exit_reason"].astype(object)
    entered = pd.to_datetime(ideas["entry_date"]) <= today
    unsettled = pd.to_datetime(ideas["unsettled_date"]) <= today
    blocked = ideas["product_reason"].isin([str(word) for word in BLOCKING])
    unpriced = reason == ExitReason.NO_PRICE_DATA.value
    first = {p.value: _first_valid(calendar, as_of, config.lifetime.validity_days(p)) for p in Period}
    valid = pd.to_datetime(ideas["trade_date"]) >= pd.to_datetime(ideas["period"].map(first))
    undecided = unsettled | blocked | unpriced
    reached = entered & ~undecided
    missed = ~entered & ~undecided & ~valid & reason.isin(_MISSED)
    return ideas.assign(
        is_reached=reached,
        is_missed=missed,
        is_undecided=undecided,
        is_closed=reached & reason.isin(_CLOSED) & (pd.to_datetime(ideas["exit_date"]) <= today),
    )


def _first_valid(calendar: MarketCalendar, as_of: date, days: int) -> date:
    """First trade date whose entry may still be made on a later day."""
    known = calendar.market_days(as_of - timedelta(days=2 * days + 30), as_of)
    return known[1 - days] if 1 < days <= len(known) else as_of + timedelta(days=1)


def _told(ideas: pd.DataFrame, flags: pd.DataFrame, audit: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Join how an idea was published and what its advisor says became of it."""
    told = flags[
        ["signal_id", "claim_lag_s", "moved_at_posting_r", "moved_at_receipt_r", "flags", "deleted_at"]
    ]
    joined = ideas.merge(told, left_on="trade_id", right_on="signal_id", how="left", validate="one_to_one")
    claims = audit[["trade_id", "agrees", "verified_reason", "reported_status", "flattering_ratio"]]
    joined = joined.merge(claims, on="trade_id", how="left", validate="one_to_one")
    settled = joined["is_closed"] | joined["is_missed"]
    gone = pd.to_datetime(joined["deleted_at"], utc=True).dt.tz_convert("Asia/Kolkata").dt.tz_localize(None)
    return joined.assign(
        is_late=[isinstance(f, list | np.ndarray) and _LATE in f for f in joined["flags"]],
        agrees=joined["agrees"].astype("boolean").where(settled),
        flattering_ratio=pd.to_numeric(joined["flattering_ratio"]).where(joined["is_closed"]),
        is_withdrawn=gone < pd.Timestamp(as_of) + pd.Timedelta(days=1),
    )


def _judge(advisor_id: str, ideas: pd.DataFrame, config: CopyConfig) -> dict[str, Any]:
    reached, missed, closed = (
        ideas[f"is_{name}"].to_numpy(dtype=bool) for name in ("reached", "missed", "closed")
    )
    undecided = ideas["is_undecided"].to_numpy(dtype=bool)
    known = ideas["claim_lag_s"].notna().to_numpy()
    agrees = ideas["agrees"]
    truth = np.asarray(agrees.astype("Float64").to_numpy(na_value=np.nan), np.float64)
    lag, posted, received = (
        floats(ideas, name) for name in ("claim_lag_s", "moved_at_posting_r", "moved_at_receipt_r")
    )
    net = floats(ideas, "r_multiple")
    cost = np.where(closed, floats(ideas, "gross_r") - net, np.nan)
    slip = np.where(closed, _entry_slip(ideas), np.nan)
    done = closed & ~np.isnan(net)
    decided = int(done.sum() + missed.sum())
    value = floats(ideas, "traded_value_paise")
    false_claims = missed & (agrees == False).fillna(False).to_numpy(dtype=bool)  # noqa: E712 - nullable column
    return {
        "advisor_id": advisor_id,
        "ideas": len(ideas),
        "reached": int(reached.sum()),
        "missed": int(missed.sum()),
        "pending": int((~reached & ~missed & ~undecided).sum()),
        "undecided": int(undecided.sum()),
        "reach_rate": _share(int(reached.sum()), int(reached.sum() + missed.sum())),
        "delay_s": _quantile(lag, 0.5),
        "delay_p90_s": _quantile(lag, 0.9),
        "moved_at_receipt_r": _quantile(received, 0.5),
        "delay_cost_r": _mean(received - posted),
        "late_share": _share(int(ideas["is_late"].sum()), int(known.sum())),
        "entry_slip_r": _mean(slip),
        "cost_r": _mean(cost),
        "shortfall_r": _mean(np.nan_to_num(slip) + cost),
        "net_r_per_idea": float(net[done].sum()) / decided if done.any() else np.nan,
        "audited": int(agrees.notna().sum()),
        "agreement_rate": _mean(truth),
        "flattering_ratio": _mean(floats(ideas, "flattering_ratio")),
        "claimed_untriggered": int(false_claims.sum()),
        "order_share": _quantile(floats(ideas, "traded_value_share"), 0.5),
        "capacity_paise": _quantile(value, 0.5) * config.share_limit,
        "withdrawn": int(ideas["is_withdrawn"].sum()),
    }


def _entry_slip(ideas: pd.DataFrame) -> FloatArray:
    """Fill against the worse end of the stated entry, R; NaN where none was stated."""
    buys = (ideas["side"] == "BUY").to_numpy()
    stated = np.where(buys, floats(ideas, "entry_high_paise"), floats(ideas, "entry_low_paise"))
    with np.errstate(divide="ignore", invalid="ignore"):
        slip = np.where(buys, 1.0, -1.0) * (floats(ideas, "entry_paise") - stated)
        return np.where(floats(ideas, "risk_paise") > 0, slip / floats(ideas, "risk_paise"), np.nan)


def _mean(values: FloatArray) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else np.nan


def _quantile(values: FloatArray, part: float) -> float:
    kept = values[~np.isnan(values)]
    return float(np.quantile(kept, part)) if len(kept) else np.nan


def _share(part: int, whole: int) -> float:
    return part / whole if whole else np.nan
