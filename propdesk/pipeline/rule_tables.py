"""Step 9 in this process: the verdicts of the rule marts, as rulesets that matching takes (§4.2-4.6).

The marts are made by dbt, in PostgreSQL. Where many markets are judged without a database (the ground truth
report) the same verdicts come from here; a test holds that both agree on every row (docs/decisions/0035).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd

from propdesk.metrics.trust import NOISE_Z, divergence_z, trust_flag
from propdesk.model.enums import Category, GateProfile, Period, Regime, RuleLevel, Session, TrustFlag, Weekday
from propdesk.model.rule import GateResult, Rule, RuleKey, RuleSet
from propdesk.pipeline.groups import GroupTables
from propdesk.pipeline.groups_prepare import FloatArray, floats
from propdesk.rules.gates import ADVERSE_GATES, GATES, GateDefinition, GateTable, holds_each, trust_value

_Word = TypeVar("_Word", Regime, Weekday, Session)

_KEY = ["as_of_date", "rule_text"]
_REPLAYED = (
    "mdd_ratio", "marked_mdd_ratio", "sharpe", "volatility_ratio", "trades_executed",
    "trades_skipped_capital",
)  # fmt: skip
_FLAGGED = ("win_rate", "n", "win_weight", "weight", "weight_squared")
_DIMENSIONS = ("level", "advisor_id", "category", "period", "regime", "weekday", "session")
_FIGURES = (
    "n", "n_days", "post_mean_r", "prob_edge", "wse_p90", "mean_post_sl_extension", "stopped_trades",
)  # fmt: skip
_NO_FLAG: Final = (None, False)


@dataclass(frozen=True, slots=True)
class RuleTables:
    """Verdicts of both profiles, one row per as-of date and trading cell with a closed trade.

    Attributes
    ----------
    rules : DataFrame
        As-of date, rule, dimensions, ``n, n_days, post_mean_r, prob_edge, trust_flag, trust_is_noise,
        wse_p90, mean_post_sl_extension, stopped_trades``; per profile ``<profile>_failed``, tuples of gates.
    adverse : DataFrame
        The same of the candidates for trading against an advisor.
    """

    rules: pd.DataFrame
    adverse: pd.DataFrame


def judge_rules(tables: GroupTables, gates: GateTable, trust_min_trades: int) -> RuleTables:
    """Judge every cell of every as-of date by both profiles.

    Parameters
    ----------
    tables : GroupTables
        Step 8, of one size model.
    gates : GateTable
        Thresholds.
    trust_min_trades : int
        Below so many trades a cell reads its advisor's flag.

    Returns
    -------
    RuleTables
        Sorted as step 8 sorts its cells.

    Notes
    -----
    A thin cell fails its minimum of trades and nothing else, as in the marts.
    """
    full = _joined(tables, trust_min_trades)
    trading = full[full["level"] != RuleLevel.ADVISOR.value]
    values = _gate_values(trading)
    failed = {
        f"{profile.value}_failed": _failed(
            trading, {**values, "trust": _trust_values(trading, profile)}, GATES, _asked(gates, profile)
        )
        for profile in GateProfile
    }
    thin = _plain(tables.thin)
    one = pd.Series([("min_trades",)] * len(thin), index=thin.index, dtype=object)
    thin = thin.assign(
        trust_flag=None, trust_is_noise=False, wse_p90=np.nan, mean_post_sl_extension=np.nan,
        stopped_trades=0,
        **dict.fromkeys(failed, one),
    )  # fmt: skip
    rules = pd.concat([part[_kept(failed)] for part in (trading.assign(**failed), thin)], ignore_index=True)
    return RuleTables(rules, _adverse(trading, gates))


def _kept(failed: Mapping[str, object]) -> list[str]:
    return [*_KEY, *_DIMENSIONS, *_FIGURES, "trust_flag", "trust_is_noise", *failed]


def _joined(tables: GroupTables, trust_min_trades: int) -> pd.DataFrame:
    """Put metrics, replays and trust flags side by side."""
    metrics = _plain(tables.metrics)
    replays = _plain(tables.replays)[[*_KEY, *_REPLAYED]]
    full = metrics.merge(replays, on=_KEY, how="inner", validate="one_to_one")
    full["win_rate"] = floats(full, "wins") / floats(full, "n")
    sums = (floats(full, name).tolist() for name in _FLAGGED)
    flags = [
        _own_flag(win_rate, int(n), won, weight, squares, trust_min_trades)
        for win_rate, n, won, weight, squares in zip(*sums, strict=True)
    ]
    keys = list(zip(full["as_of_date"], full["advisor_id"], strict=True))
    is_advisor = (full["level"] == RuleLevel.ADVISOR.value).tolist()
    of_advisor = {key: flag for key, flag, mine in zip(keys, flags, is_advisor, strict=True) if mine}
    read = [
        flag if flag[0] is not None else of_advisor.get(key, _NO_FLAG)
        for key, flag in zip(keys, flags, strict=True)
    ]
    full["trust_flag"] = pd.Series([flag for flag, _ in read], index=full.index, dtype=object)
    full["trust_is_noise"] = [is_noise for _, is_noise in read]
    return full


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn categories, which differ from frame to frame, into the values they stand for."""
    return frame.astype({name: object for name, kind in frame.dtypes.items() if kind == "category"})


def _own_flag(
    win_rate: float, n: int, win_weight: float, weight: float, squares: float, trust_min_trades: int
) -> tuple[TrustFlag | None, bool]:
    """Read the trust flag of a cell from step 8's sums (§3.6)."""
    if not weight > 0.0:
        return _NO_FLAG
    divergence = win_weight / weight - win_rate
    flag = trust_flag(divergence, n, trust_min_trades)
    z = divergence_z(divergence, win_rate, n, weight * weight / squares)
    return flag, flag is not None and not abs(z) >= NOISE_Z


def _profit_factor(frame: pd.DataFrame) -> FloatArray:
    gains, losses = floats(frame, "gains_paise"), floats(frame, "losses_paise")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(losses < 0.0, gains / -losses, np.where(gains > 0.0, np.inf, np.nan))


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    return np.where(below != 0.0, above / np.where(below != 0.0, below, 1.0), np.nan)


def _gate_values(frame: pd.DataFrame) -> dict[str, FloatArray]:
    """Give what every gate but trust compares, one value per row."""
    executed, skipped = floats(frame, "trades_executed"), floats(frame, "trades_skipped_capital")
    return {
        "min_trades": floats(frame, "n"),
        "min_days": floats(frame, "n_days"),
        "win_rate": floats(frame, "win_rate"),
        "excess_hits": floats(frame, "excess_hits"),
        "sharpe": floats(frame, "sharpe"),
        "profit_factor": _profit_factor(frame),
        "mdd": np.fmin(floats(frame, "mdd_ratio"), floats(frame, "marked_mdd_ratio")),
        "pain_reward": floats(frame, "pain_reward"),
        "pain_reward_ratio": _ratio(floats(frame, "pain_reward"), floats(frame, "pain_reward_no_skill")),
        "skipped_share": _ratio(skipped, executed + skipped),
        "traded_value_share": floats(frame, "median_traded_value_share"),
        "post_mean_r": floats(frame, "post_mean_r"),
        "prob_edge": floats(frame, "prob_edge"),
        "advisor_q": floats(frame, "advisor_q"),
        "mdd_p95": floats(frame, "mdd_p95"),
    }


def _trust_values(frame: pd.DataFrame, profile: GateProfile) -> FloatArray:
    flags = zip(frame["trust_flag"], frame["trust_is_noise"], strict=True)
    values = [trust_value(flag, is_noise, profile) for flag, is_noise in flags]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _failed(
    frame: pd.DataFrame,
    values: Mapping[str, FloatArray],
    definitions: Mapping[str, GateDefinition],
    asked: Mapping[tuple[str, str], Mapping[str, float]],
) -> "pd.Series[Any]":
    """Name the gates that each row fails, in the order of the definitions."""
    cells = list(zip(frame["level"], frame["category"], strict=True))
    names, marks = [], []
    for name, definition in definitions.items():
        by_cell = {cell: gates.get(name, np.nan) for cell, gates in asked.items()}
        limit = np.array([by_cell[cell] for cell in cells], dtype=np.float64)
        names.append(name)
        # a gate without a threshold is not asked
        marks.append(~np.isnan(limit) & ~holds_each(definition.comparison, values[name], limit))
    rows = np.stack(marks, axis=1) if len(frame) else np.zeros((0, len(names)), dtype=bool)
    # few patterns repeat over many rows
    patterns, inverse = np.unique(rows, axis=0, return_inverse=True)
    texts = [tuple(name for name, mark in zip(names, row, strict=True) if mark) for row in patterns]
    return pd.Series([texts[place] for place in inverse.ravel()], index=frame.index, dtype=object)


def _asked(gates: GateTable, profile: GateProfile) -> dict[tuple[str, str], Mapping[str, float]]:
    return {
        (level.value, category.value): asked
        for (mine, level, category), asked in gates.rules.items()
        if mine is profile
    }


def _adverse(trading: pd.DataFrame, gates: GateTable) -> pd.DataFrame:
    """Judge the cells with a mean loss as rules against their advisor (§4.4)."""
    volatility = pd.Series(floats(trading, "volatility_ratio"), index=trading.index)
    by_kind = [trading[name] for name in ("as_of_date", "level", "category")]
    middle: FloatArray = np.asarray(volatility.groupby(by_kind).transform("median"), dtype=np.float64)
    mean_return = floats(trading, "return_sum") / floats(trading, "n")
    net, early = floats(trading, "net_pnl_paise"), floats(trading, "first_half_net_pnl_paise")
    values = {
        "min_trades": floats(trading, "n"),
        "mean_return": mean_return,
        "profit_factor": _profit_factor(trading),
        "volatility": _ratio(floats(trading, "volatility_ratio"), middle),
        "win_rate": floats(trading, "win_rate"),
        "reverse_q": floats(trading, "reverse_q"),
        "first_half": early,
        "second_half": net - early,
        "reverse_net": floats(trading, "reverse_net_pnl_paise"),
    }
    loses = mean_return < 0.0
    kept = trading[loses]
    cells = set(zip(kept["level"], kept["category"], strict=True))
    failed = {
        f"{profile.value}_failed": _failed(
            kept,
            {name: value[loses] for name, value in values.items()},
            ADVERSE_GATES,
            dict.fromkeys(cells, gates.adverse[profile]),
        )
        for profile in GateProfile
    }
    return kept.assign(**failed)


def rulesets(judged: RuleTables, gates: GateTable, profile: GateProfile) -> Iterator[tuple[date, RuleSet]]:
    """Give the rules of each as-of date as matching takes them.

    Parameters
    ----------
    judged : RuleTables
        Verdicts.
    gates : GateTable
        Those that judged.
    profile : GateProfile
        Whose verdicts.

    Yields
    ------
    (date, RuleSet)
        In order of the dates. Adverse rules are there only where they pass. The version names profile and
        date: nothing is frozen under it.
    """
    minimums, keys = gates.match_minimums(profile), _keys_of(judged.rules)
    parts, against = (_by_day(frame) for frame in (judged.rules, judged.adverse))
    nothing = judged.adverse.iloc[:0]
    for day in sorted(parts):
        found = _rules(against.get(day, nothing), keys, profile, is_adverse=True)
        yield (
            day,
            RuleSet(
                f"{profile.value}-{day}",
                profile,
                {rule.key: rule for rule in _rules(parts[day], keys, profile, is_adverse=False)},
                {rule.key: rule for rule in found if rule.passes},
                minimums,
            ),
        )


def _rules(
    frame: pd.DataFrame, keys: Mapping[str, RuleKey], profile: GateProfile, *, is_adverse: bool
) -> Iterator[Rule]:
    names = ("rule_text", *_FIGURES, "trust_flag", "trust_is_noise", f"{profile.value}_failed")
    gate_of: dict[tuple[str, ...], tuple[GateResult, ...]] = {}
    for row in zip(*(frame[name].tolist() for name in names), strict=True):
        text, n, days, post, prob, wse, extension, stopped, flag, is_noise, failed = row
        if failed not in gate_of:
            gate_of[failed] = tuple(GateResult(name, None, None, passed=False) for name in failed)
        yield Rule(
            keys[text], profile, not failed, is_adverse, int(n), int(days), post, prob, flag, is_noise, wse,
            extension, int(stopped), gate_of[failed],
        )  # fmt: skip


def _by_day(frame: pd.DataFrame) -> dict[date, pd.DataFrame]:
    places = frame.groupby("as_of_date", sort=False).indices
    return {day: frame.iloc[rows] for day, rows in places.items()}  # type: ignore[misc]  # days in, days out


def _keys_of(frame: pd.DataFrame) -> dict[str, RuleKey]:
    """Read the cell of each rule by its text, which repeats from day to day."""
    found = frame.drop_duplicates("rule_text")
    rows = zip(*(found[name] for name in ("rule_text", *_DIMENSIONS)), strict=True)
    return {
        text: RuleKey(
            RuleLevel(level), advisor, Category(category), Period(period), _member(Regime, regime),
            _member(Weekday, weekday), _member(Session, session),
        )
        for text, level, advisor, category, period, regime, weekday, session in rows
    }  # fmt: skip


def _member(kind: type[_Word], text: Any) -> "_Word | None":
    return kind(text) if isinstance(text, str) else None
