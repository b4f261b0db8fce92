"""One market of known skill through the steps, the gates and matching, in this process."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from adapters.calendar import load_calendar
from adapters.config_gates import load_gates
from adapters.db.frames.rules import GroupInputs, group_config
from adapters.instruments import read_instrument_file
from adapters.settings import Settings, load_settings
from adapters.ticks.store import ParquetPriceStore
from cli.market import generate_sample, post_on_prices, write_text
from cli.planted import Found, Planted, compare
from cli.truth_steps import World as Place
from cli.truth_steps import run_steps
from propdesk.core.calendar import MarketCalendar
from propdesk.core.errors import GapFault
from propdesk.metrics.trust import MIN_TRADES
from propdesk.model.enums import GateProfile, RuleLevel
from propdesk.pipeline.groups import GroupTables, build_group_facts
from propdesk.pipeline.rule_tables import judge_rules, rulesets
from propdesk.rules.gates import GateTable
from propdesk.rules.match import dims_of_texts
from propdesk.sim.advisor_habits import Kind
from propdesk.sim.advisors import AdvisorSpec
from propdesk.sim.sample_format import csv_lines
from propdesk.sim.truth import (
    Advisor,
    Idea,
    SeedFigures,
    Timeline,
    World,
    calibrate,
    play,
    shuffled,
    true_net_r,
)

_REWARD_EDGES: Final = (1.0, 1.5, 2.0, 3.0)
"""Reward to risk between which outcomes are exchanged."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of every seed.

    Attributes
    ----------
    first, last : date
        Days of the ideas; on stored prices what of them the store holds.
    per_day : int
        Ideas a day.
    every : int
        As-of dates: each so many market days.
    on_prices : str
        Price store of real prices; empty for the generated market.
    """

    first: date
    last: date
    per_day: int
    every: int
    on_prices: str = ""


@dataclass(frozen=True, slots=True)
class _Research:
    """What steps 8 and 9 need beside the trades."""

    settings: Settings
    calendar: MarketCalendar
    gates: GateTable
    as_of: list[date]
    timeline: Timeline


def judge_seed(request: Request, seed: int, *, is_planted: bool) -> list[SeedFigures]:
    """Make one market and let both profiles judge its ideas.

    Parameters
    ----------
    request : Request
    seed : int
        Of market and advisors.
    is_planted : bool
        Whether anybody has skill. Without skill a second pass exchanges outcomes between advisors.

    Returns
    -------
    list of SeedFigures
        Of the planted world; or of the worlds without skill and of the placebo.

    Raises
    ------
    GapFault
        If there are fewer market days than one window of the replays and one as-of date after it.
    """
    settings, calendar = load_settings(), load_calendar()
    with tempfile.TemporaryDirectory(prefix="propdesk-truth-") as folder:
        place, truth = _make_market(request, seed, 1.0 if is_planted else 0.0, Path(folder), calendar)
        inputs = run_steps(place, calendar, settings)
    research = _research(request, inputs.trades, settings, calendar)
    if is_planted:
        return [_judge(research, inputs, truth, seed, World.PLANTED)]
    exchanged = GroupInputs(_placebo(inputs.trades, seed), inputs.excursions, inputs.marks)
    return [
        _judge(research, inputs, truth, seed, World.NO_SKILL),
        _judge(research, exchanged, truth, seed, World.PLACEBO),
    ]


def _make_market(
    request: Request, seed: int, skill: float, folder: Path, calendar: MarketCalendar
) -> tuple[Place, list[Mapping[str, Any]]]:
    if request.on_prices:
        spec = AdvisorSpec(seed, request.per_day, skill, cash_only=True)
        book, stream = post_on_prices(request.on_prices, request.first, request.last, spec)
        write_text(folder / "signals.csv", csv_lines(stream.rows))
        store = ParquetPriceStore(request.on_prices, calendar)
        return Place(folder / "signals.csv", book.instruments, store), list(stream.truth)
    files = generate_sample(
        folder,
        str(folder / "prices"),
        request.first,
        request.last,
        seed=seed,
        per_day=request.per_day,
        skill=skill,
    )
    listed = read_instrument_file(files.instruments, request.first).instruments
    truth = json.loads(files.truth.read_text(encoding="utf-8"))["advisors"]
    return Place(files.signals, listed, ParquetPriceStore(files.store_url, calendar)), truth


def _research(
    request: Request, trades: pd.DataFrame, settings: Settings, calendar: MarketCalendar
) -> _Research:
    days = calendar.market_days(min(trades["trade_date"]), max(trades["trade_date"]))
    timeline = Timeline(days, settings.window_days)
    as_of = days[request.every - 1 :: request.every]
    if not any(timeline.judged_from <= day < days[-1] for day in as_of):
        raise GapFault(
            f"The ideas of {days[0]} to {days[-1]} end before the {settings.window_days} days of a replay "
            "are full and judged: ask for a longer time with --first and --last, or set PROPDESK_WINDOW_DAYS."
        )
    return _Research(settings, calendar, load_gates(settings.gates_file), as_of, timeline)


def _judge(
    research: _Research, inputs: GroupInputs, truth: Sequence[Mapping[str, Any]], seed: int, world: World
) -> SeedFigures:
    config = group_config(research.settings, research.gates)
    tables = build_group_facts(
        inputs.trades, inputs.excursions, inputs.marks, research.calendar, research.as_of, config
    )
    judged = judge_rules(tables, research.gates, MIN_TRADES)
    rules = {profile: list(rulesets(judged, research.gates, profile)) for profile in GateProfile}
    counted = inputs.trades[inputs.trades["is_counted"]]
    ideas = list(_ideas(counted))
    profiles, slope = play(ideas, rules, research.timeline)
    advisors = _advisors(truth, counted, tables, research.as_of[-1])
    return SeedFigures(
        seed=seed,
        world=world,
        as_of_dates=len(research.as_of),
        market_days=len(research.timeline.market_days),
        ideas=len(ideas),
        spearman=_spearman(advisors),
        advisors=advisors,
        profiles=profiles,
        bins=calibrate(rules[GateProfile.DESK], advisors, config.hurdle_r),
        slope=slope,
    )


def _ideas(trades: pd.DataFrame) -> Iterator[Idea]:
    names = ("trade_date", "advisor_id", "category", "period", "regime", "weekday", "session", "r_multiple")
    for day, advisor, category, period, regime, weekday, session, r in zip(
        *(trades[name].tolist() for name in names), strict=True
    ):
        yield Idea(day, dims_of_texts(advisor, category, period, regime, weekday, session), float(r))


def _advisors(
    truth: Sequence[Mapping[str, Any]], trades: pd.DataFrame, tables: GroupTables, last: date
) -> list[Advisor]:
    """Set the truth about each advisor beside what step 8 says of him at the end."""
    metrics = tables.metrics
    newest = metrics[(metrics["as_of_date"] == last) & (metrics["level"] == RuleLevel.ADVISOR.value)]
    columns = zip(*(newest[name] for name in ("advisor_id", "n", "post_mean_r", "prob_edge")), strict=True)
    found = {advisor: (int(n), float(post), float(prob)) for advisor, n, post, prob in columns}
    net_r = {key: part.tolist() for key, part in trades["r_multiple"].groupby(trades["advisor_id"])}
    out = []
    for row in truth:
        name = str(row["advisor_id"])
        closed, post, prob = found.get(name, (0, np.nan, np.nan))
        points = float(row["mean_points"])
        is_constant = row["points"] == row["mean_points"]
        real = true_net_r(row, net_r.get(name, []))
        out.append(Advisor(name, Kind(row["kind"]), points, is_constant, real, closed, post, prob))
    return out


def _spearman(advisors: Sequence[Advisor]) -> float:
    """Compare as the report of the sample does; NaN where nobody has skill."""
    if not any(one.points for one in advisors):
        return float("nan")
    planted = [Planted(one.advisor_id, one.kind.value, one.points, one.is_constant) for one in advisors]
    found = {
        one.advisor_id: Found(one.closed, one.post_mean_r, one.prob_edge)
        for one in advisors
        if not np.isnan(one.post_mean_r)
    }
    return compare(planted, found).spearman


def _placebo(trades: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Exchange outcomes between advisors within day, category and bucket of reward to risk."""
    counted = trades[trades["is_counted"]]
    target = np.array([float(one[0]) if len(one) else np.nan for one in counted["targets_paise"]])
    entry, stop = (
        pd.to_numeric(counted[name]).to_numpy(dtype=np.float64, na_value=np.nan)
        for name in ("entry_paise", "stoploss_paise")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        reward = np.abs(target - entry) / np.abs(entry - stop)
    # no stop or no target: a bucket of its own
    bucket = np.where(np.isnan(reward), -1, np.digitize(reward, _REWARD_EDGES))
    keys = list(zip(counted["trade_date"], counted["category"], bucket.tolist(), strict=True))
    return counted.assign(advisor_id=shuffled(counted["advisor_id"].tolist(), keys, seed))
