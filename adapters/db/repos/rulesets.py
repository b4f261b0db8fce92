"""Rules of a trading day: read from the marts, frozen under a version, read back by the daemon (§4.5)."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from propdesk.core.errors import GapFault, InvariantViolated
from propdesk.model.enums import Category, GateProfile, Period, Regime, RuleLevel, Session, TrustFlag, Weekday
from propdesk.model.rule import CellMinimums, GateResult, Rule, RuleKey, RuleSet
from propdesk.rules.gates import ADVERSE_PREFIX, cell_minimums

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
Minimums: TypeAlias = Mapping[tuple[RuleLevel, Category], CellMinimums]

_COLUMNS = (
    "level, advisor_id, category, period, regime, weekday, session, n, n_days, post_mean_r, prob_edge, "
    "trust_flag, trust_is_noise, wse_p90, mean_post_sl_extension, stopped_trades, desk_passes, "
    "original_passes, desk_failed_gates, original_failed_gates"
)
_MINI_COLUMNS = _COLUMNS.replace("weekday, session", "NULL, NULL")
_RULES = (
    f"SELECT {_COLUMNS} FROM marts.rules_6d WHERE as_of_date = %(day)s AND n >= 1 "  # noqa: S608 - constants only
    f"UNION ALL SELECT {_MINI_COLUMNS} FROM marts.mini_rules WHERE as_of_date = %(day)s AND n >= 1"
)
_HEADS = (
    "SELECT ruleset_version, trade_date, as_of_date, profile, count_rules, count_eligible, frozen_at "
    "FROM ref.rulesets"
)
_VERSION_DIGITS = 16


@dataclass(frozen=True, slots=True)
class FrozenRules:
    """What `freeze_ruleset` stored."""

    ruleset_version: str
    as_of_date: date
    count_rules: int
    count_eligible: int
    count_adverse: int


@dataclass(frozen=True, slots=True)
class RulesetHead:
    """What is known of a frozen ruleset beside its rules."""

    ruleset_version: str
    trade_date: date
    as_of_date: date
    profile: str
    count_rules: int
    count_eligible: int
    frozen_at: datetime


@dataclass(frozen=True, slots=True)
class Pin:
    """A version that a person chose for a day."""

    trade_date: date
    ruleset_version: str
    pinned_by: str
    reason: str
    pinned_at: datetime


def newest_as_of(connection: Connection, before: date) -> date | None:
    """Newest as-of date of the marts before ``before``; None if there are no marts or they are empty."""
    if not _has_table(connection, "marts.mini_rules"):
        return None
    row = connection.execute(
        "SELECT max(as_of_date) FROM marts.mini_rules WHERE as_of_date < %s", (before,)
    ).fetchone()
    return row[0] if row else None


def read_mart_rules(
    connection: Connection, as_of: date, profile: GateProfile
) -> tuple[list[Rule], list[Rule]]:
    """Read the rules of one as-of date under one profile.

    Returns
    -------
    tuple of list of Rule
        Every cell with at least one closed trade (§4.6 needs them all), and the adverse rules; both sorted
        by their text.
    """
    rows = connection.execute(_RULES, {"day": as_of}).fetchall()
    rules = sorted((_rule(row, profile, is_adverse=False) for row in rows), key=_order)
    adverse = sorted(_adverse_rules(connection, as_of, profile), key=_order)
    return rules, adverse


def as_of_dates(connection: Connection, first: date, last: date) -> frozenset[date]:
    """Give the as-of dates within a closed interval that the marts hold rules of."""
    if not _has_table(connection, "marts.mini_rules"):
        return frozenset()
    rows = connection.execute(
        "SELECT DISTINCT as_of_date FROM marts.mini_rules WHERE as_of_date BETWEEN %s AND %s", (first, last)
    )
    return frozenset(day for (day,) in rows)


def read_mart_ruleset(connection: Connection, as_of: date, profile: GateProfile) -> RuleSet:
    """Read the rules of one as-of date as they would be frozen, under the same version."""
    rules, adverse = read_mart_rules(connection, as_of, profile)
    minimums = read_minimums(connection, as_of, profile)
    version = ruleset_version(profile, as_of, minimums, [*rules, *adverse])
    return RuleSet(version, profile, {r.key: r for r in rules}, {r.key: r for r in adverse}, minimums)


def read_minimums(connection: Connection, as_of: date, profile: GateProfile) -> Minimums:
    """Read what matching asks from the thresholds that the marts of one as-of date were judged by.

    Raises
    ------
    GapFault
        If there are none, or the marts were built with others: match and marts would not agree.
    """
    rows = connection.execute(
        "SELECT rule_level, category, gate, threshold, gates_version FROM ref.gate_thresholds "
        "WHERE profile = %s AND gate NOT LIKE %s ORDER BY rule_level, category, gate",
        (profile.value, f"{ADVERSE_PREFIX}%"),
    ).fetchall()
    judged = connection.execute(
        "SELECT DISTINCT gates_version FROM marts.mini_rules WHERE as_of_date = %s", (as_of,)
    ).fetchall()
    versions = {row[4] for row in rows}
    if not rows or any(row[0] not in versions for row in judged):
        raise GapFault(
            f"The rules of {as_of} were judged by other gates than are stored: build steps 8 and 9 of that "
            f"day again (`python3 run.py backfill {as_of} {as_of}`)."
        )
    cells: dict[tuple[RuleLevel, Category], dict[str, float]] = {}
    for level, category, gate, threshold, _ in rows:
        cells.setdefault((RuleLevel(level), Category(category)), {})[gate] = threshold
    return {cell: cell_minimums(gates) for cell, gates in cells.items()}


def ruleset_version(profile: GateProfile, as_of: date, minimums: Minimums, rules: Iterable[Rule]) -> str:
    """Name a set of rules by its content: the same rules under the same minimums have the same version."""
    digest = hashlib.sha256(f"{profile.value}|{as_of.isoformat()}".encode())
    digest.update(json.dumps(minimums_to_json(minimums), sort_keys=True, allow_nan=False).encode())
    for rule in rules:
        digest.update(json.dumps(rule_to_json(rule), sort_keys=True, allow_nan=False).encode())
    return digest.hexdigest()[:_VERSION_DIGITS]


def freeze_ruleset(
    connection: Connection, trade_date: date, as_of: date, profile: GateProfile, frozen_at: datetime
) -> FrozenRules:
    """Freeze the rules of ``as_of`` for ``trade_date`` in the current transaction; may be repeated."""
    rules, adverse = read_mart_rules(connection, as_of, profile)
    minimums = read_minimums(connection, as_of, profile)
    version = ruleset_version(profile, as_of, minimums, [*rules, *adverse])
    frozen = FrozenRules(version, as_of, len(rules), sum(r.passes for r in rules), len(adverse))
    inserted = connection.execute(
        "INSERT INTO ref.rulesets (ruleset_version, trade_date, as_of_date, profile, minimums, "
        "count_rules, count_eligible, frozen_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (ruleset_version) DO NOTHING",
        (
            version,
            trade_date,
            as_of,
            profile.value,
            Jsonb(minimums_to_json(minimums)),
            len(rules),
            frozen.count_eligible,
            frozen_at,
        ),
    )
    if inserted.rowcount == 1:
        with (
            connection.cursor() as cursor,
            cursor.copy(
                "COPY ref.ruleset_rules (ruleset_version, rule_text, is_adverse, rule) FROM STDIN"
            ) as copy,
        ):
            for rule in (*rules, *adverse):
                copy.write_row((version, rule.key.text, int(rule.is_adverse), Jsonb(rule_to_json(rule))))
    return frozen


def read_head(connection: Connection, version: str) -> RulesetHead:
    """Read what is known of a frozen ruleset beside its rules; `GapFault` if there is none."""
    with connection.cursor(row_factory=class_row(RulesetHead)) as cursor:
        head = cursor.execute(f"{_HEADS} WHERE ruleset_version = %s", (version,)).fetchone()
    if head is None:
        raise GapFault(
            f"There is no frozen ruleset {version}: `python3 run.py rules versions` lists those there are."
        )
    return head


def list_rulesets(connection: Connection, limit: int) -> list[RulesetHead]:
    """List the frozen rulesets, the newest first."""
    with connection.cursor(row_factory=class_row(RulesetHead)) as cursor:
        return cursor.execute(
            f"{_HEADS} ORDER BY frozen_at DESC, ruleset_version LIMIT %s",
            (limit,),
        ).fetchall()


def days_of_rulesets(connection: Connection, account_id: str) -> dict[str, list[date]]:
    """Give the days that an account was made ready for by each ruleset."""
    rows = connection.execute(
        "SELECT ruleset_version, trade_date FROM ref.readiness WHERE account_id = %s "
        "AND ruleset_version IS NOT NULL AND ready_at IS NOT NULL ORDER BY trade_date",
        (account_id,),
    ).fetchall()
    found: dict[str, list[date]] = {}
    for version, day in rows:
        found.setdefault(version, []).append(day)
    return found


def read_pins(connection: Connection, account_id: str) -> dict[date, Pin]:
    """Give the pinned versions of an account by trade date."""
    with connection.cursor(row_factory=class_row(Pin)) as cursor:
        pins = cursor.execute(
            "SELECT trade_date, ruleset_version, pinned_by, reason, pinned_at FROM ref.ruleset_pins "
            "WHERE account_id = %s ORDER BY trade_date",
            (account_id,),
        ).fetchall()
    return {pin.trade_date: pin for pin in pins}


def write_pin(connection: Connection, account_id: str, pin: Pin) -> None:
    """Pin a version for a day in the current transaction; a pin that stands there is replaced."""
    connection.execute(
        "INSERT INTO ref.ruleset_pins (account_id, trade_date, ruleset_version, pinned_by, reason, "
        "pinned_at) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (account_id, trade_date) DO UPDATE SET "
        "ruleset_version = EXCLUDED.ruleset_version, pinned_by = EXCLUDED.pinned_by, "
        "reason = EXCLUDED.reason, pinned_at = EXCLUDED.pinned_at",
        (account_id, pin.trade_date, pin.ruleset_version, pin.pinned_by, pin.reason, pin.pinned_at),
    )


def drop_pin(connection: Connection, account_id: str, trade_date: date) -> bool:
    """Take a pin away in the current transaction; tells whether there was one."""
    done = connection.execute(
        "DELETE FROM ref.ruleset_pins WHERE account_id = %s AND trade_date = %s", (account_id, trade_date)
    )
    return done.rowcount == 1


def read_ruleset(connection: Connection, version: str) -> RuleSet:
    """Read a frozen ruleset.

    Raises
    ------
    GapFault
        If there is none under this version.
    InvariantViolated
        If the stored rules are not those the version names: a day's journal could not be folded again.
    """
    head = connection.execute(
        "SELECT profile, as_of_date, minimums FROM ref.rulesets WHERE ruleset_version = %s", (version,)
    ).fetchone()
    if head is None:
        raise GapFault(
            f"There is no frozen ruleset {version}: run `python3 run.py premarket all` for the day, "
            "or correct the readiness record."
        )
    profile = GateProfile(head[0])
    rules: dict[RuleKey, Rule] = {}
    adverse: dict[RuleKey, Rule] = {}
    rows = connection.execute(
        "SELECT rule, is_adverse FROM ref.ruleset_rules WHERE ruleset_version = %s ORDER BY rule_text, "
        "is_adverse",
        (version,),
    )
    for content, is_adverse in rows:
        rule = rule_from_json(content, profile, is_adverse=bool(is_adverse))
        (adverse if is_adverse else rules)[rule.key] = rule
    minimums = minimums_from_json(head[2])
    ordered = [*sorted(rules.values(), key=_order), *sorted(adverse.values(), key=_order)]
    if ruleset_version(profile, head[1], minimums, ordered) != version:
        raise InvariantViolated(f"the frozen ruleset {version} was changed after it was frozen")
    return RuleSet(version, profile, rules, adverse, minimums)


def minimums_to_json(minimums: Minimums) -> list[dict[str, Any]]:
    """Turn minimums into JSON values, ordered by level and category."""
    return [
        {
            "level": level.value,
            "category": category.value,
            "trades": asked.trades,
            "post_mean_r": asked.post_mean_r,
            "prob_edge": asked.prob_edge,
        }
        for (level, category), asked in sorted(minimums.items())
    ]


def minimums_from_json(content: list[dict[str, Any]]) -> Minimums:
    """Read minimums back."""
    return {
        (RuleLevel(row["level"]), Category(row["category"])): CellMinimums(
            row["trades"], row["post_mean_r"], row["prob_edge"]
        )
        for row in content
    }


def rule_to_json(rule: Rule) -> dict[str, Any]:
    """Turn a rule into JSON values; what is undefined becomes null."""
    key = rule.key
    return {
        "level": key.level.value,
        "advisor_id": key.advisor_id,
        "category": _value(key.category),
        "period": _value(key.period),
        "regime": _value(key.regime),
        "weekday": _value(key.weekday),
        "session": _value(key.session),
        "passes": rule.passes,
        "n": rule.n,
        "n_days": rule.n_days,
        "post_mean_r": _number(rule.post_mean_r),
        "prob_edge": _number(rule.prob_edge),
        "trust_flag": _value(rule.trust_flag),
        "trust_is_noise": rule.trust_is_noise,
        "wse_p90": _number(rule.wse_p90),
        "mean_post_sl_extension": _number(rule.mean_post_sl_extension),
        "stopped_trades": rule.stopped_trades,
        "failed_gates": [g.gate for g in rule.gates],
    }


def rule_from_json(content: dict[str, Any], profile: GateProfile, *, is_adverse: bool) -> Rule:
    """Read a rule back; null becomes NaN."""
    return Rule(
        key=RuleKey(
            RuleLevel(content["level"]),
            content["advisor_id"],
            _optional(Category, content["category"]),
            _optional(Period, content["period"]),
            _optional(Regime, content["regime"]),
            _optional(Weekday, content["weekday"]),
            _optional(Session, content["session"]),
        ),
        profile=profile,
        passes=content["passes"],
        is_adverse=is_adverse,
        n=content["n"],
        n_days=content["n_days"],
        post_mean_r=_float(content["post_mean_r"]),
        prob_edge=_float(content["prob_edge"]),
        trust_flag=_optional(TrustFlag, content["trust_flag"]),
        trust_is_noise=content["trust_is_noise"],
        wse_p90=_float(content["wse_p90"]),
        mean_post_sl_extension=_float(content["mean_post_sl_extension"]),
        stopped_trades=content["stopped_trades"],
        gates=tuple(GateResult(name, None, None, False) for name in content["failed_gates"]),
    )


def _rule(row: tuple[Any, ...], profile: GateProfile, *, is_adverse: bool) -> Rule:
    desk = profile is GateProfile.DESK
    failed = row[18] if desk else row[19]
    return rule_from_json(
        {
            "level": row[0],
            "advisor_id": row[1],
            "category": row[2],
            "period": row[3],
            "regime": row[4],
            "weekday": row[5],
            "session": row[6],
            "passes": bool(row[16] if desk else row[17]),
            "n": int(row[7]),
            "n_days": int(row[8] or 0),
            "post_mean_r": row[9],
            "prob_edge": row[10],
            "trust_flag": row[11],
            "trust_is_noise": bool(row[12]),
            "wse_p90": row[13],
            "mean_post_sl_extension": row[14],
            "stopped_trades": int(row[15] or 0),
            "failed_gates": list(failed or []),
        },
        profile,
        is_adverse=is_adverse,
    )


def _adverse_rules(connection: Connection, as_of: date, profile: GateProfile) -> Iterable[Rule]:
    if not _has_table(connection, "marts.adverse_rules"):
        return []
    cursor = connection.execute("SELECT * FROM marts.adverse_rules WHERE as_of_date = %s", (as_of,))
    names = [column.name for column in cursor.description or ()]
    rules = []
    for row in cursor:
        values = dict(zip(names, row, strict=True))
        passes = values.get(f"{profile.value}_passes", values.get("passes"))
        if not passes:
            continue
        failed = values.get(f"{profile.value}_failed_gates") or []
        rules.append(
            rule_from_json(
                {
                    **{
                        name: values.get(name)
                        for name in ("category", "period", "regime", "weekday", "session", "post_mean_r")
                    },
                    **{name: values.get(name) for name in ("prob_edge", "trust_flag", "wse_p90")},
                    "mean_post_sl_extension": values.get("mean_post_sl_extension"),
                    "level": values["level"],
                    "advisor_id": values["advisor_id"],
                    "passes": True,
                    "n": int(values["n"]),
                    "n_days": int(values.get("n_days") or 0),
                    "trust_is_noise": bool(values.get("trust_is_noise")),
                    "stopped_trades": int(values.get("stopped_trades") or 0),
                    "failed_gates": list(failed),
                },
                profile,
                is_adverse=True,
            )
        )
    return rules


def _has_table(connection: Connection, name: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone()
    return bool(row and row[0])


def _order(rule: Rule) -> str:
    return rule.key.text


def _value(member: Any) -> Any:
    return None if member is None else member.value


def _optional(kind: Any, value: Any) -> Any:
    return None if value is None else kind(value)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)
