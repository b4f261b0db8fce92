"""The desk book: all rules that are eligible on one as-of date, replayed together on one corpus (§3.4)."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from propdesk.model.rule import RuleSet
from propdesk.pipeline.groups_prepare import DIMENSIONS, BoolArray, GroupConfig, Prepared
from propdesk.replay.batch import CurveReplayer, group_bounds, kernel_trades
from propdesk.replay.corpus import ReplayResult
from propdesk.replay.inputs import epoch_day
from propdesk.rules.match import MatchOutcome, dims_of_texts, match_rule


@dataclass(frozen=True, slots=True)
class DeskBook:
    """One replay of the portfolio that the rules of a day would have traded.

    Attributes
    ----------
    replay : ReplayResult
        Outputs of §3.4, curves included.
    rules_eligible, rules_used : int
        Rules that pass every gate, and those of them that some idea of the window traded under.
    ideas, ideas_taken : int
        Counted ideas entered in the window, and those that match an eligible rule; what the corpus could not
        pay for is among these.
    """

    replay: ReplayResult
    rules_eligible: int
    rules_used: int
    ideas: int
    ideas_taken: int


def desk_book(data: Prepared, ruleset: RuleSet, day: date, config: GroupConfig) -> DeskBook:
    """Replay every idea of the window that the rules of its last day would have taken.

    Parameters
    ----------
    data : Prepared
        Counted trades of the window at least, prepared for the as-of date.
    ruleset : RuleSet
        Rules judged at the end of the as-of date.
    day : date
        As-of date.
    config : GroupConfig
        Capital, window, yearly rate; the first size model is replayed.

    Returns
    -------
    DeskBook
        Rules against an advisor do not take part: their corpus is apart.

    Notes
    -----
    Each idea trades once, under the rule that matching (§4.6) finds for it. The rules were chosen by these
    same ideas, so the figures say what the portfolio is like (drawdown, capital, concurrency), never what it
    will earn; ``simulate`` trades each day under the rules of the day before.
    """
    number = epoch_day(day)
    entered = (data.entry_day > number - config.window_days) & (data.entry_day <= number)
    taken, used = _taken(data.frame, entered, ruleset)
    group = np.where(taken, 0, 1).astype(np.int64)
    prepared, order = kernel_trades(data.corpus[config.size_models[0]], group, data.market)
    replayer = CurveReplayer(
        prepared,
        group_bounds(group[order], 1),
        data.market,
        capital_paise=config.capital_paise,
        risk_free=config.risk_free,
        window_days=config.window_days,
    )
    return DeskBook(
        replayer.replay(0, number),
        sum(rule.passes for rule in ruleset.rules.values()),
        used,
        int(entered.sum()),
        int(taken.sum()),
    )


def _taken(frame: pd.DataFrame, entered: BoolArray, ruleset: RuleSet) -> tuple[BoolArray, int]:
    """Mark the ideas that match an eligible rule, and count the rules they match."""
    followed = {rule.key.advisor_id for rule in ruleset.rules.values() if rule.passes}
    rows = np.flatnonzero(entered & frame["advisor_id"].isin(followed).to_numpy())
    cells = list(zip(*(frame[name].to_numpy(dtype=object)[rows] for name in DIMENSIONS), strict=True))
    found = {cell: match_rule(dims_of_texts(*cell), ruleset) for cell in dict.fromkeys(cells)}
    matched = {
        cell: one.rule.key
        for cell, one in found.items()
        if one.rule is not None and one.outcome is MatchOutcome.MATCHED
    }
    taken = np.zeros(len(frame), dtype=np.bool_)
    taken[rows] = np.array([cell in matched for cell in cells], dtype=np.bool_)
    return taken, len(set(matched.values()))
