"""Rules, their gates and the leaderboard as the surfaces show them (§4.3, §7.4)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import class_row, dict_row

from propdesk.core.errors import GapFault
from propdesk.model.enums import GateProfile, RuleLevel, TrustFlag
from propdesk.model.rule import GateResult
from propdesk.rules.gates import ADVERSE_GATES, ADVERSE_PREFIX, GATES, GateDefinition, holds, trust_value

Connection: TypeAlias = psycopg.Connection[Any]

_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule under one profile; percent columns end in ``_pct``, null is undefined."""

    rule_text: str
    level: str
    advisor_id: str
    n: int
    n_days: int
    win_rate_pct: float | None
    profit_factor: float | None
    mdd_pct: float | None
    sharpe: float | None
    excess_hits: float | None
    post_mean_r: float
    prob_edge: float
    trust_flag: str | None
    trust_is_noise: bool | None
    passes: bool
    failed_gates: list[str]


@dataclass(frozen=True, slots=True)
class LeaderRow:
    """One advisor of the leaderboard."""

    rank: int
    advisor_id: str
    n: int
    n_open: int
    n_days: int
    n_skill: int
    win_rate_pct: float | None
    weighted_win_rate_pct: float | None
    profit_factor: float | None
    mean_r: float | None
    corpus_return_pct: float | None
    mdd_pct: float | None
    sharpe: float | None
    pain_reward_ratio: float | None
    excess_hits: float | None
    excess_z: float | None
    post_mean_r: float
    post_sd_r: float
    prob_edge: float
    trust_flag: str | None
    trust_is_noise: bool | None


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """What one gate stops: rules failing it, those failing nothing else, trades of the failing 6D rules."""

    gate: str
    failed: int
    failed_alone: int
    trades: int


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """Every gate of one rule at one as-of date under both profiles.

    ``adverse`` holds the gates of the same cell as a rule against its advisor; empty without a mean loss.
    """

    rule_text: str
    level: str
    as_of_date: date
    n: int
    post_mean_r: float
    prob_edge: float
    is_judged: bool
    gates: dict[GateProfile, tuple[GateResult, ...]]
    adverse: dict[GateProfile, tuple[GateResult, ...]]


_COLUMNS = """rule_text, level, advisor_id, n, n_days, win_rate_pct, profit_factor, mdd_pct, sharpe,
    excess_hits, post_mean_r, prob_edge, trust_flag, trust_is_noise"""
_JUDGED = "SELECT * FROM marts.rules_6d UNION ALL SELECT * FROM marts.mini_rules"


def newest_as_of(connection: Connection) -> date:
    """Newest as-of date of the marts.

    Raises
    ------
    GapFault
        If there are no marts yet.
    """
    found = connection.execute("SELECT to_regclass('marts.advisor_leaderboard') IS NOT NULL").fetchone()
    if found and found[0]:
        row = connection.execute("SELECT max(as_of_date) FROM marts.advisor_leaderboard").fetchone()
        if row and row[0] is not None:
            day: date = row[0]
            return day
    raise GapFault("there are no rules yet: run `propdesk backfill FROM TO` first")


def require_day(connection: Connection, day: date) -> None:
    """Raise `GapFault` unless the marts hold that as-of date."""
    if newest_as_of(connection) < day or not read_leaderboard(connection, day):
        raise GapFault(f"there are no rules of {day}: `propdesk backfill {day} {day}` makes them")


def read_rules(
    connection: Connection,
    as_of: date,
    profile: GateProfile,
    *,
    level: RuleLevel | None = None,
    eligible_only: bool = False,
) -> list[RuleRow]:
    """Read the judged rules of an as-of date (those with at least half their minimum of trades).

    Parameters
    ----------
    connection : psycopg.Connection
        Any role that may read the marts.
    as_of : date
        As-of date.
    profile : GateProfile
        Whose verdict to tell.
    level : RuleLevel, optional
        Only this level.
    eligible_only : bool
        Only rules that pass every gate.

    Returns
    -------
    list of RuleRow
        By post_mean_r, best first.
    """
    name = profile.value
    statement = (
        f"SELECT {_COLUMNS}, {name}_passes AS passes, "  # noqa: S608 - an enum's value
        f"{name}_failed_gates AS failed_gates "
        f"FROM ({_JUDGED}) AS rules WHERE as_of_date = %(day)s AND trades_executed IS NOT NULL "
        "AND (%(level)s::text IS NULL OR level = %(level)s) "
        f'AND (NOT %(eligible)s OR {name}_passes) ORDER BY post_mean_r DESC, rule_text COLLATE "C"'
    )
    params = {"day": as_of, "level": level.value if level else None, "eligible": eligible_only}
    with connection.cursor(row_factory=class_row(RuleRow)) as cursor:
        return cursor.execute(statement, params).fetchall()


def read_leaderboard(connection: Connection, as_of: date) -> list[LeaderRow]:
    """Read the advisors of an as-of date, best post_mean_r first."""
    statement = """SELECT rank, advisor_id, n, n_open, n_days, skill_n AS n_skill, win_rate_pct,
        weighted_win_rate_pct, profit_factor, mean_r, corpus_return_pct, mdd_pct, sharpe, pain_reward_ratio,
        excess_hits, excess_z, post_mean_r, post_sd_r, prob_edge, trust_flag, trust_is_noise
        FROM marts.advisor_leaderboard WHERE as_of_date = %s ORDER BY rank"""
    with connection.cursor(row_factory=class_row(LeaderRow)) as cursor:
        return cursor.execute(statement, (as_of,)).fetchall()


def read_funnel(connection: Connection, as_of: date, profile: GateProfile) -> list[FunnelRow]:
    """Count what each gate stops, in the order of the gates.

    Only judged rules count; a rule may fail several gates.
    """
    judged = f"SELECT * FROM ({_JUDGED}) AS judged WHERE trades_executed IS NOT NULL"  # noqa: S608 - a constant
    return _funnel(connection, as_of, profile, judged, GATES)


def read_adverse_funnel(connection: Connection, as_of: date, profile: GateProfile) -> list[FunnelRow]:
    """Count what each gate stops among the cells with a mean loss, as rules against their advisors."""
    return _funnel(connection, as_of, profile, "SELECT * FROM marts.adverse_rules", ADVERSE_GATES)


def _funnel(
    connection: Connection, as_of: date, profile: GateProfile, source: str, gates: Iterable[str]
) -> list[FunnelRow]:
    name = f"{profile.value}_failed_gates"
    statement = (
        f"SELECT gate, count(*), count(*) FILTER (WHERE cardinality({name}) = 1), "  # noqa: S608 - an enum's value
        "coalesce(sum(n) FILTER (WHERE level = 'RULE_6D'), 0) "
        f"FROM ({source}) AS rules, unnest({name}) AS gate WHERE as_of_date = %s GROUP BY gate"
    )
    found = connection.execute(statement, (as_of,)).fetchall()
    rows = {row[0]: FunnelRow(row[0], row[1], row[2], int(row[3])) for row in found}
    return [rows[gate] for gate in gates if gate in rows]


def count_adverse(connection: Connection, as_of: date, profile: GateProfile) -> tuple[int, int]:
    """Count the cells with a mean loss, and those of them that may be traded against."""
    statement = (
        f"SELECT count(*), count(*) FILTER (WHERE {profile.value}_passes) "  # noqa: S608 - an enum's value
        "FROM marts.adverse_rules WHERE as_of_date = %s"
    )
    ((every, passing),) = connection.execute(statement, (as_of,)).fetchall()
    return every, passing


def why_rule(connection: Connection, rule_text: str, as_of: date) -> RuleVerdict:
    """Give every gate of one rule with value, threshold and verdict.

    Parameters
    ----------
    connection : psycopg.Connection
        Any role that may read the marts and ``ref``.
    rule_text : str
        As `RuleKey.text`.
    as_of : date
        As-of date.

    Returns
    -------
    RuleVerdict
        A rule below half its minimum of trades is not judged: its gates have no values but the count.

    Raises
    ------
    GapFault
        If there is no such rule on that date.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            f"SELECT * FROM ({_JUDGED}) AS rules WHERE as_of_date = %s AND rule_text = %s",  # noqa: S608 - a constant
            (as_of, rule_text),
        ).fetchone()
        if row is None:
            raise GapFault(
                f"there is no rule {rule_text!r} on {as_of}: "
                f"`propdesk rules list --as-of {as_of}` shows those that are"
            )
        against = cursor.execute(
            "SELECT * FROM marts.adverse_rules WHERE as_of_date = %s AND rule_text = %s", (as_of, rule_text)
        ).fetchone()
        thresholds = cursor.execute(
            "SELECT profile, gate, comparison, threshold FROM ref.gate_thresholds "
            "WHERE rule_level = %s AND category = %s",
            (row["level"], row["category"]),
        ).fetchall()
    asked = {
        profile: {t["gate"]: t for t in thresholds if t["profile"] == profile.value}
        for profile in GateProfile
    }
    gates = {p: tuple(_results(gate_values(row, p), asked[p], GATES)) for p in GateProfile}
    adverse = {
        p: () if against is None else tuple(_results(adverse_values(against), asked[p], ADVERSE_GATES))
        for p in GateProfile
    }
    return RuleVerdict(
        rule_text,
        row["level"],
        as_of,
        row["n"],
        row["post_mean_r"],
        row["prob_edge"],
        row["trades_executed"] is not None,
        gates,
        adverse,
    )


def _results(
    values: Mapping[str, float | None],
    asked: Mapping[str, Mapping[str, Any]],
    gates: Mapping[str, GateDefinition],
) -> Iterable[GateResult]:
    prefix = ADVERSE_PREFIX if gates is ADVERSE_GATES else ""
    for gate in gates:
        found = asked.get(prefix + gate)
        if found is not None:
            passed = holds(found["comparison"], values[gate], found["threshold"])
            yield GateResult(gate, values[gate], found["threshold"], passed)


def gate_values(row: dict[str, Any], profile: GateProfile) -> dict[str, float | None]:
    """Read the value of every gate from a row of the marts; percent columns become fractions."""
    flag = TrustFlag(row["trust_flag"]) if row["trust_flag"] else None
    drawdowns = [row[name] for name in ("mdd_pct", "marked_mdd_pct") if row[name] is not None]
    return {
        "min_trades": row["n"],
        "min_days": row["n_days"],
        "win_rate": _fraction(row["win_rate_pct"]),
        "excess_hits": row["excess_hits"],
        "sharpe": row["sharpe"],
        "profit_factor": row["profit_factor"],
        "mdd": _fraction(min(drawdowns) if drawdowns else None),
        "pain_reward": row["pain_reward"],
        "pain_reward_ratio": row["pain_reward_ratio"],
        "trust": trust_value(flag, bool(row["trust_is_noise"]), profile),
        "skipped_share": _fraction(row["skipped_share_pct"]),
        "traded_value_share": _fraction(row["traded_value_share_pct"]),
        "post_mean_r": row["post_mean_r"],
        "prob_edge": row["prob_edge"],
        "advisor_q": row["advisor_q"],
        "mdd_p95": _fraction(row["mdd_p95_pct"]),
    }


def adverse_values(row: dict[str, Any]) -> dict[str, float | None]:
    """Read the value of every adverse gate from a row of ``marts.adverse_rules``."""
    return {
        "min_trades": row["n"],
        "mean_return": _fraction(row["mean_return_pct"]),
        "profit_factor": row["profit_factor"],
        "volatility": row["volatility_multiple"],
        "win_rate": _fraction(row["win_rate_pct"]),
        "reverse_q": row["reverse_q"],
        "first_half": row["first_half_net_pnl_paise"],
        "second_half": row["second_half_net_pnl_paise"],
        "reverse_net": row["reverse_net_pnl_paise"],
    }


def _fraction(percent: float | None) -> float | None:
    return None if percent is None else percent / _PERCENT
