"""`propdesk skill`: whose results are more than luck, and what of the whole desk is."""

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.database import open_transaction
from cli.output import JsonOption, emit, parse_day, say, show_table

if TYPE_CHECKING:
    import pandas as pd

    from adapters.db.frames.skill import Tried
    from propdesk.pipeline.skill_facts import SkillConfig, SkillTables

AsOf = Annotated[str | None, typer.Option("--as-of", help="As-of date; the newest by default.")]
Rate = Annotated[
    float, typer.Option("--rate", min=0.001, max=0.5, help="Share of false names that is borne, fraction.")
]
_PERCENT, _PAISE = 100.0, 100.0
_SHOWN = {
    "advisor_id": "advisor",
    "stage": "stage",
    "skill_n": "ideas",
    "cluster_n_eff": "eff. n",
    "mean_r_weighted": "mean R",
    "t_cluster": "t",
    "excess_hits": "excess hits",
    "p_value": "p",
    "q_value": "q",
    "e_value": "e",
    "post_mean_r": "post R",
    "prob_edge": "prob",
    "mdd_p95_pct": "MDD P95 %",
    "dsr": "DSR",
    "trades_needed": "needed",
    "reasons": "not higher because",
}
_DIGITS = {
    "cluster_n_eff": 0,
    "t_cluster": 2,
    "excess_hits": 1,
    "e_value": 2,
    "prob_edge": 2,
    "mdd_p95_pct": 1,
    "dsr": 2,
    "trades_needed": 0,
    "reach_rate_pct": 1,
    "delay_s": 0,
    "late_share_pct": 1,
    "agreement_rate_pct": 1,
    "flattering_pct": 2,
    "order_share_pct": 1,
    "capacity_inr": 0,
}
_COPIED = {
    "advisor_id": "advisor",
    "ideas": "ideas",
    "net_r_per_idea": "net R per idea",
    "reach_rate_pct": "reached %",
    "pending": "pending",
    "undecided": "undecided",
    "delay_s": "delay s",
    "moved_at_receipt_r": "moved R",
    "late_share_pct": "too late %",
    "entry_slip_r": "entry R",
    "cost_r": "costs R",
    "shortfall_r": "shortfall R",
    "agreement_rate_pct": "claims true %",
    "flattering_pct": "flatter %",
    "claimed_untriggered": "false claims",
    "order_share_pct": "order %",
    "capacity_inr": "capacity INR",
    "withdrawn": "taken back",
}


def judge_skill(as_of: date | None, skill: "SkillConfig") -> "tuple[date, SkillTables, Tried]":
    """Read the tables of steps 5 to 8 and judge all advisors at the end of a day.

    Parameters
    ----------
    as_of : date, optional
        The newest of step 8 by default.
    skill : SkillConfig
        Settings of the skill layer.

    Returns
    -------
    date
        The as-of date.
    SkillTables
    Tried
        What the trial ledger holds of that date.

    Raises
    ------
    GapFault
        If step 8 holds nothing of that date.
    """
    from adapters.calendar import load_calendar
    from adapters.config_gates import load_gates
    from adapters.db.frames.rules import group_config
    from adapters.db.frames.skill import newest_group_day, read_skill_inputs
    from adapters.settings import load_settings
    from propdesk.pipeline.groups_prepare import prepare
    from propdesk.pipeline.skill_facts import skill_facts
    from propdesk.replay.inputs import epoch_day

    settings, calendar = load_settings(), load_calendar()
    config = group_config(settings, load_gates(settings.gates_file))
    with open_transaction(settings, "reader", "propdesk-skill") as connection:
        day = as_of or newest_group_day(connection)
        read = read_skill_inputs(connection, calendar, day, config)
    say(f"{len(read.groups.trades):,} ideas up to {day}")
    groups = read.groups
    data = prepare(groups.trades, groups.excursions, groups.marks, calendar, [day], config)
    skill = replace(skill, settings_tried=max(read.tried.settings, 1))
    return day, skill_facts(data, epoch_day(day), read.metrics, read.curves, config, skill), read.tried


def _judge(as_of: str | None, rate: float) -> "tuple[date, SkillTables, Tried]":
    from propdesk.pipeline.skill_facts import SkillConfig
    from propdesk.rules.stages import StageLimits

    day = parse_day(as_of, "--as-of") if as_of else None
    return judge_skill(day, SkillConfig(rate=rate, limits=StageLimits(q_value=rate)))


def advisors(as_of: AsOf = None, rate: Rate = 0.10, as_json: JsonOption = False) -> None:
    """Show each advisor's evidence against luck, and the stage that it supports."""
    day, tables, _ = _judge(as_of, rate)
    frame = tables.advisors.assign(mdd_p95_pct=_PERCENT * tables.advisors["mdd_p95"])
    rows = _records(frame.drop(columns="mdd_p95"))
    rows.sort(key=lambda row: -row["post_mean_r"])
    if as_json:
        emit({"as_of_date": day, "rate": rate, "advisors": rows})
        return
    show_table(
        f"Skill or luck at the end of {day}: {tables.desk.found_by_q} of {len(rows)} advisors named at a "
        f"false-discovery rate of {_PERCENT * rate:g} %",
        tuple(_SHOWN.values()),
        [tuple(_cell(name, row[name]) for name in _SHOWN) for row in rows],
    )


def copy(
    as_of: AsOf = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=2000, help="Calendar days of ideas up to the as-of date.")
    ] = 90,
    as_json: JsonOption = False,
) -> None:
    """Show whether ideas can be copied: move at receipt, entries reached, shortfall, honesty."""
    from datetime import timedelta

    from adapters.calendar import load_calendar
    from adapters.db.frames.skill import newest_trade_day, read_copy_inputs
    from adapters.settings import load_settings
    from assets._shared.configs import trade_config
    from propdesk.pipeline.copyability import CopyConfig, copyability
    from propdesk.risk.liquidity import TRADED_VALUE_SHARE

    settings, wanted = load_settings(), parse_day(as_of, "--as-of") if as_of else None
    with open_transaction(settings, "reader", "propdesk-skill") as connection:
        day = wanted or newest_trade_day(connection)
        read = read_copy_inputs(connection, day - timedelta(days=days - 1), day)
    config = CopyConfig(days, trade_config(settings).lifetimes, TRADED_VALUE_SHARE)
    found = copyability(read.trades, read.flags, read.audit, load_calendar(), day, config)
    rows = _records(_for_people(found))
    if as_json:
        emit({"as_of_date": day, "days": days, "advisors": rows})
        return
    show_table(
        f"Who can be copied: ideas of the {days} days up to {day}",
        tuple(_COPIED.values()),
        [tuple(_cell(name, row[name]) for name in _COPIED) for row in rows],
    )


def _for_people(found: "pd.DataFrame") -> "pd.DataFrame":
    """Turn fractions into percent and paise into rupees, named accordingly."""
    names = [str(name) for name in found]
    shares = {name: f"{name}_pct" for name in names if name.endswith(("_rate", "_share"))}
    frame = found.assign(
        **{name: _PERCENT * found[name] for name in shares},
        flattering_ratio=_PERCENT * found["flattering_ratio"],
        capacity_paise=found["capacity_paise"] / _PAISE,
    )
    return frame.rename(
        columns={**shares, "flattering_ratio": "flattering_pct", "capacity_paise": "capacity_inr"}
    )


def _records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return "; ".join(value)
    if isinstance(value, float):
        return None if value != value else f"{value:,.{_DIGITS.get(name, 3)}f}"
    return value


def desk(as_of: AsOf = None, rate: Rate = 0.10, as_json: JsonOption = False) -> None:
    """Show what of the desk is luck: shares with and without an edge, names that luck would give, trials."""
    day, tables, tried = _judge(as_of, rate)
    facts, truth = tables.desk, tables.desk.truth
    rules = _records(facts.rules)
    stages = tables.advisors["stage"].value_counts().sort_index().to_dict()
    figures = {
        "advisors_tested": truth.tested,
        "share_no_edge_pct": _PERCENT * truth.share_zero,
        "share_positive_pct": _PERCENT * truth.share_positive,
        "share_negative_pct": _PERCENT * truth.share_negative,
        "look_good": truth.found_positive,
        "look_bad": truth.found_negative,
        "expected_lucky": truth.expected_lucky,
        "named_by_q": facts.found_by_q,
        "named_by_e": facts.found_by_e,
        "n_trials_eff": facts.n_trials_eff,
        "lucky_sharpe": facts.lucky_sharpe,
        "settings_tried": tried.settings,
        "gate_tables_tried": tried.gate_tables,
        "rules_tried": tried.rules_tried,
        "rules_judged": tried.rules_judged,
        **_searched(day, tables),
    }
    superior = figures.pop("superior")
    if as_json:
        shown = {**figures, "superior": superior, "stages": stages, "rules": rules}
        emit({"as_of_date": day, "rate": rate, **shown})
        return
    show_table(
        f"The desk at the end of {day}",
        ("figure", "value"),
        [(_FIGURES[name], value) for name, value in figures.items()]
        + [("named by stepwise testing of all at once", ", ".join(superior) or "nobody")]
        + [(f"advisors at stage {stage}", count) for stage, count in stages.items()],
    )
    show_table(
        f"Named by the search from advisors down to 6D rules at {_PERCENT * rate:g} %",
        ("level", "rule", "p"),
        [(row["level"], row["rule_text"], f"{row['p_value']:.2g}") for row in rules],
    )


def _searched(day: date, tables: "SkillTables") -> dict[str, Any]:
    """Test all advisors at once, and ask what choosing gates by the past is worth (report only)."""
    from adapters.calendar import load_calendar
    from adapters.config_gates import load_gates
    from adapters.db.frames.skill import read_gated_ideas
    from adapters.settings import load_settings
    from propdesk.metrics.selection import overfit_odds
    from propdesk.pipeline.gate_sets import gate_set_results
    from propdesk.pipeline.joint_tests import joint_tests

    joint = joint_tests(tables.daily_r)
    settings = load_settings()
    with open_transaction(settings, "reader", "propdesk-skill") as connection:
        ideas = read_gated_ideas(connection, day, settings.skill_window_market_days * _CALENDAR_DAYS)
    days = load_calendar().market_days(ideas["trade_date"].min(), day) if len(ideas) else []
    sets = gate_set_results(ideas, days, load_gates(settings.gates_file))
    overfit = overfit_odds(sets.to_numpy(dtype="float64"))
    return {
        "spa_p": joint.spa_p,
        "superior": list(joint.superior),
        "joint_days": joint.days,
        "joint_block_days": joint.block_days,
        "pbo": overfit.odds,
        "pbo_loss_odds": overfit.loss_odds,
        "pbo_gate_sets": overfit.records,
        "pbo_days": len(days),
    }


_CALENDAR_DAYS = 2  # so many calendar days hold a market day at least

_FIGURES = {
    "advisors_tested": "advisors tested",
    "share_no_edge_pct": "estimated share without an edge, %",
    "share_positive_pct": "with an edge, %",
    "share_negative_pct": "worse than no skill, %",
    "look_good": "advisors that look good (10 % bound)",
    "look_bad": "advisors that look bad (10 % bound)",
    "expected_lucky": "of each kind expected by luck alone",
    "named_by_q": "named by p-values",
    "named_by_e": "named by e-values",
    "n_trials_eff": "independent track records",
    "lucky_sharpe": "Sharpe ratio that luck's best would show",
    "settings_tried": "settings tried up to this as-of date",
    "gate_tables_tried": "tables of thresholds tried until then, both profiles in each",
    "rules_tried": "groups tried on this as-of date, all runs that differ",
    "rules_judged": "of them with ideas enough to be judged",
    "spa_p": "chance that luck's best advisor looks as good (SPA p)",
    "joint_days": "market days in that test",
    "joint_block_days": "days that its bootstrap keeps together",
    "pbo": "chance that the best gates of the past are below the median later (PBO)",
    "pbo_loss_odds": "chance that they lose later",
    "pbo_gate_sets": "sets of gates that differ",
    "pbo_days": "market days in that test",
}


def register(app: typer.Typer) -> None:
    """Add ``skill advisors|desk|copy``."""
    group = typer.Typer(no_args_is_help=True, help="Skill or luck: evidence per advisor and for the desk.")
    group.command("advisors")(advisors)
    group.command("desk")(desk)
    group.command("copy")(copy)
    app.add_typer(group, name="skill")
