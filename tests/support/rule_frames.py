"""Frames of trades, excursions and marks as steps 5 to 7 leave them, from one seed, without prices."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from propdesk.core.calendar import HoursRule, MarketCalendar, Segment, weekday_of

CATEGORIES = ("NSE_EQ", "INDEX_FUT", "STOCK_FUT", "INDEX_OPT", "STOCK_OPT")
PERIODS = ("INTRADAY", "SWING", "POSITIONAL")
REGIMES = ("TRENDING_BULLISH", "TRENDING_BEARISH", "SIDEWAYS", "SIDEWAYS_BULLISH", "SIDEWAYS_BEARISH")
SESSIONS = ("MORNING", "MIDDAY", "AFTERNOON", "AFTER_HOURS")
_MINUTE = pd.Timedelta(minutes=1)


def weekday_calendar(first: date, last: date) -> MarketCalendar:
    """Monday to Friday, 09:15 to 15:30."""
    span = [first + timedelta(i) for i in range((last - first).days + 1)]
    days = [day for day in span if day.weekday() < 5]
    return MarketCalendar(days, [HoursRule(s, date(2000, 1, 1), 555, 930, 910) for s in Segment])


@dataclass(frozen=True)
class RuleFrames:
    """Inputs of step 8."""

    trades: pd.DataFrame
    excursions: pd.DataFrame
    marks: pd.DataFrame
    calendar: MarketCalendar
    days: list[date]


def make_frames(
    *,
    seed: int = 1,
    first: date = date(2025, 1, 1),
    last: date = date(2025, 6, 30),
    per_day: int = 40,
    advisors: int = 8,
    edge: dict[int, float] | None = None,
    unsettled_share: float = 0.0,
) -> RuleFrames:
    """Draw trades that meet their target or stop at random.

    ``edge`` adds to the chance of the target per advisor number; without it everybody breaks even
    before costs. ``unsettled_share`` of the ideas held overnight cannot be settled from a day within their
    life on.
    """
    rng = np.random.default_rng(seed)
    calendar = weekday_calendar(date(2024, 6, 3), date(2026, 1, 30))
    days = calendar.market_days(first, last)
    n = per_day * len(days)
    regime_of_day = rng.choice(REGIMES, len(days))
    at = np.repeat(np.arange(len(days)), per_day)
    advisor = rng.integers(0, advisors, n)
    category = np.where(rng.random(n) < 0.85, advisor % 5, rng.integers(0, 5, n))
    period = np.where(rng.random(n) < 0.85, 0, rng.integers(0, 3, n))
    session = np.where(rng.random(n) < 0.6, advisor % 3, rng.integers(0, 4, n))
    reward = rng.choice([0.5, 1.0, 1.5, 2.0, 3.0], n)
    bonus = np.array([(edge or {}).get(int(a), 0.0) for a in advisor])
    timed = rng.random(n) < 0.25
    win = rng.random(n) < 1.0 / (1.0 + reward) + bonus
    gross_r = np.where(timed, rng.uniform(-0.9, reward * 0.9), np.where(win, reward, -1.0))
    cost_r = rng.uniform(0.05, 0.12, n)
    entry_paise = rng.integers(10_000, 200_000, n)
    risk = np.maximum((entry_paise * rng.uniform(0.004, 0.01, n)).astype(np.int64), 20)
    sign = np.where(rng.random(n) < 0.5, 1, -1)
    quantity = np.maximum(500_000_00 // entry_paise, 1)
    gross = np.round(gross_r * risk * quantity).astype(np.int64)
    costs = np.round(cost_r * risk * quantity).astype(np.int64)
    held = np.where(period == 0, 0, rng.integers(1, 12, n))
    exit_at = np.minimum(at + held, len(days) + 30)
    all_days = calendar.market_days(first, date(2026, 1, 30))
    midnight = pd.to_datetime([str(d) for d in all_days]).tz_localize("Asia/Kolkata").tz_convert("UTC")
    minute = rng.integers(555, 780, n)
    entry_moment = midnight[at] + minute * _MINUTE
    exit_moment = midnight[exit_at] + np.where(held == 0, minute + rng.integers(0, 130, n), 600) * _MINUTE
    apart = np.random.default_rng([seed, 1])  # the other draws stay as they are without unsettled ideas
    lost = (held > 1) & (apart.random(n) < unsettled_share)
    exit_at = np.where(lost, at + apart.integers(1, np.maximum(held, 2)), exit_at)
    lost &= exit_at < len(days)
    still_open = exit_at >= len(days)
    targets = [[int(e + s * r * k)] for e, s, r, k in zip(entry_paise, sign, risk, reward, strict=True)]
    reason = np.where(timed, "SQUARE_OFF", np.where(win, "TARGET", "STOPLOSS")).astype(object)
    reason[still_open] = "OPEN"
    reason[lost] = "INCOMPLETE"
    still_open |= lost
    day_of = np.array(all_days, dtype=object)
    net = gross - costs
    net_r = net / (risk * quantity)
    exits = entry_paise + sign * np.round(gross_r * risk).astype(np.int64)
    margin = entry_paise * quantity // 5
    trades = pd.DataFrame(
        {
            "trade_date": day_of[at],
            "trade_id": [f"{i:08x}-{int(rng.integers(0, 1 << 30)):08x}" for i in rng.permutation(n)],
            "advisor_id": np.array([f"A{a:02d}" for a in advisor], dtype=object),
            "category": np.array(CATEGORIES, dtype=object)[category],
            "underlying": np.array([f"STK{u:02d}" for u in rng.integers(0, 12, n)], dtype=object),
            "side": np.where(sign > 0, "BUY", "SELL").astype(object),
            "period": np.array(PERIODS, dtype=object)[period],
            "session": np.array(SESSIONS, dtype=object)[session],
            "weekday": np.array(
                [w.value if (w := weekday_of(d)) else None for d in day_of[at]], dtype=object
            ),
            "regime": regime_of_day[at].astype(object),
            "entry_type": "MARKET",
            "stoploss_paise": entry_paise - sign * risk,
            "targets_paise": targets,
            "lots": quantity,
            "lot_size": 1,
            "quantity": quantity,
            "margin_paise": margin,
            "notional_paise": entry_paise * quantity,
            "leverage": 5.0,
            "desk_lots": np.maximum(quantity // 2, 1),
            "desk_quantity": np.maximum(quantity // 2, 1),
            "desk_margin_paise": np.maximum(margin // 2, 1),
            "entry_at": entry_moment,
            "entry_date": day_of[at],
            "entry_paise": entry_paise,
            "exit_at": exit_moment.where(~still_open),
            "exit_date": pd.Series(day_of[np.minimum(exit_at, len(all_days) - 1)]).where(~still_open, None),
            "exit_paise": pd.array(exits, dtype="Int64"),
            "exit_reason": reason,
            "targets_hit": (~timed & win).astype(np.int64),
            "ambiguous_bar": False,
            "unsettled_at": exit_moment.where(lost),
            "unsettled_date": pd.Series(day_of[np.minimum(exit_at, len(all_days) - 1)]).where(lost, None),
            "gross_pnl_paise": pd.array(gross, dtype="Int64"),
            "slippage_paise": pd.array(costs // 3, dtype="Int64"),
            "charges_paise": pd.array(costs - costs // 3, dtype="Int64"),
            "net_pnl_paise": pd.array(net, dtype="Int64"),
            "desk_net_pnl_paise": pd.array(net // 2, dtype="Int64"),
            "risk_paise": risk,
            "r_multiple": net_r,
            "gross_r": gross / (risk * quantity),
            "charges_r": (costs - costs // 3) / (risk * quantity),
            "return_ratio": net / margin,
            "holding_hours": rng.uniform(0.1, 5.0, n),
            "is_winning_trade": pd.array(net > 0, dtype="boolean"),
            "traded_value_paise": 1_000_000_000,
            "traded_value_share": rng.uniform(0.0, 0.04, n),
            "is_counted": rng.random(n) < 0.97,
        }
    )
    trades["underlying_key"] = "NSE_EQ:" + trades["underlying"]
    money = ["exit_paise", "gross_pnl_paise", "slippage_paise", "charges_paise", "net_pnl_paise"]
    trades.loc[still_open, [*money, "desk_net_pnl_paise"]] = pd.NA
    trades.loc[still_open, ["r_multiple", "gross_r", "charges_r", "return_ratio"]] = np.nan
    trades.loc[still_open, "is_winning_trade"] = pd.NA
    return RuleFrames(
        trades, _excursions(trades, rng), _marks(trades, at, exit_at, days, rng), calendar, days
    )


def _excursions(trades: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    n = len(trades)
    closed = trades["exit_date"].notna().to_numpy()
    stopped = (trades["exit_reason"] == "STOPLOSS").to_numpy()
    return pd.DataFrame(
        {
            "trade_date": trades["trade_date"],
            "trade_id": trades["trade_id"],
            "mae_r": np.where(closed, np.where(stopped, 1.0, rng.uniform(0, 1, n)), np.nan),
            "mfe_r": np.where(closed, rng.uniform(0, 2, n), np.nan),
            "post_sl_extension": np.where(stopped, rng.normal(-0.001, 0.004, n), np.nan),
            "post_sl_recovery": np.where(stopped, rng.uniform(0, 0.01, n), np.nan),
            "post_target_extension": np.where(closed & ~stopped, rng.normal(0.001, 0.003, n), np.nan),
            "wse": np.nan,
            "wte": np.nan,
            "crossed_entry_after_stop": pd.array(
                np.where(stopped, rng.random(n) < 0.3, False), dtype="boolean"
            ),
            "bar_resolution": True,
            "is_complete": True,
        }
    )


def _marks(
    trades: pd.DataFrame, at: np.ndarray, exit_at: np.ndarray, days: list[date], rng: np.random.Generator
) -> pd.DataFrame:
    rows = np.flatnonzero(exit_at > at)
    spans = [range(at[i], min(exit_at[i], len(days))) for i in rows]
    owner = np.repeat(rows, [len(s) for s in spans])
    index = np.array([j for span in spans for j in span], dtype=np.int64)
    unit = (trades["risk_paise"] * trades["quantity"]).to_numpy()[owner]
    return pd.DataFrame(
        {
            "trade_date": trades["trade_date"].to_numpy()[owner],
            "trade_id": trades["trade_id"].to_numpy()[owner],
            "mark_date": np.array(days, dtype=object)[index],
            "close_paise": trades["entry_paise"].to_numpy()[owner],
            "mark_pnl_paise": np.round(rng.uniform(-0.8, 1.2, len(owner)) * unit).astype(np.int64),
        }
    )
