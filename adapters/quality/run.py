"""Run a suite on a frame; a pure function of the two, so that an asset check can store what it likes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from adapters.quality.suites import NOT_NULL, SUITES, Rule, Suite
from propdesk.core.errors import ConfigFault

_EXAMPLES_MAX = 5


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """Outcome of one suite.

    Attributes
    ----------
    success : bool
        Every expectation held.
    is_blocked : bool
        A blocking expectation did not hold: what follows must not run.
    results : list of dict
        Per expectation: expectation, success, is_blocking, count_rows, count_unexpected, examples, error.
    """

    suite: str
    success: bool
    is_blocked: bool
    results: list[dict[str, Any]]

    @property
    def failures(self) -> list[dict[str, Any]]:
        """Results that did not hold."""
        return [result for result in self.results if not result["success"]]

    @property
    def sentence(self) -> str:
        """Say the outcome to a person."""
        if self.success:
            return f"{self.suite}: all {len(self.results)} expectations hold"
        named = ", ".join(
            f"{failure['expectation']} ({failure['error'] or str(failure['count_unexpected']) + ' rows'})"
            for failure in self.failures
        )
        return f"{self.suite}: {len(self.failures)} of {len(self.results)} expectations fail: {named}"


def run_suite(name: str, frame: pd.DataFrame) -> SuiteResult:
    """Judge a frame by its table's rules.

    Parameters
    ----------
    name : str
        Table name without schema, e.g. ``validated_signals``; see `adapters.quality.suites.SUITES`.
    frame : DataFrame
        As written to or read from the table; not changed. A rule whose column is missing fails.

    Returns
    -------
    SuiteResult
        One result per rule, in the suite's order.

    Raises
    ------
    ConfigFault
        If there is no suite of that name.
    """
    results = _judge(frame, _suite(name).rules)
    return SuiteResult(
        name,
        all(result["success"] for result in results),
        any(result["is_blocking"] and not result["success"] for result in results),
        results,
    )


def run_rules(name: str, frame: pd.DataFrame, expectations: Collection[str]) -> list[dict[str, Any]]:
    """Judge a frame, usually one day's part of another, by some rules of its table's suite.

    Parameters
    ----------
    name : str
        Table name as in `run_suite`.
    frame : DataFrame
        Not changed.
    expectations : collection of str
        Names of the rules.

    Returns
    -------
    list of dict
        As `SuiteResult.results`, in the suite's order; equal to what `run_suite` says of these rules.

    Raises
    ------
    ConfigFault
        If there is no suite of that name.

    Notes
    -----
    Rules against nulls, the only ones that tolerate some broken rows, are counted here: a range has hundreds
    of days, and each call of the library costs more than the work of a step.
    """
    wanted = [rule for rule in _suite(name).rules if rule.name in expectations]
    present = set(frame.columns)
    counted = {rule.name: _count_nulls(frame, rule) for rule in wanted if _is_countable(rule, present)}
    judged = {one["expectation"]: one for one in _judge(frame, [r for r in wanted if r.name not in counted])}
    return [counted.get(rule.name) or judged[rule.name] for rule in wanted]


def _suite(name: str) -> Suite:
    suite = SUITES.get(name)
    if suite is None:
        raise ConfigFault(f"There is no quality suite {name!r}: choose from {', '.join(sorted(SUITES))}.")
    return suite


def _is_countable(rule: Rule, present: set[str]) -> bool:
    return rule.kind == NOT_NULL and set(rule.columns) <= present


def _count_nulls(frame: pd.DataFrame, rule: Rule) -> dict[str, Any]:
    broken = int(frame[rule.columns[0]].isna().sum())
    tolerant = float(rule.arguments.get("mostly", 1.0))
    success = len(frame) == 0 or (len(frame) - broken) / len(frame) >= tolerant
    return _result(rule, success, len(frame), broken, [], "")


def _judge(frame: pd.DataFrame, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    present = set(frame.columns)
    judged = _validate(frame, [rule for rule in rules if set(rule.columns) <= present])
    results = []
    for rule in rules:
        missing = ", ".join(sorted(set(rule.columns) - present))
        absent = _result(rule, False, len(frame), 0, [], f"no column {missing}")
        results.append(judged.get(rule.name, absent))
    return results


def _validate(frame: pd.DataFrame, rules: list[Rule]) -> dict[str, dict[str, Any]]:
    if not rules:
        return {}
    import great_expectations as gx  # six seconds to import: only who checks pays

    columns = list(dict.fromkeys(column for rule in rules for column in rule.columns))
    suite = gx.ExpectationSuite(
        name="suite",
        expectations=[
            getattr(gx.expectations, rule.kind)(**rule.arguments, meta={"rule": rule.name}) for rule in rules
        ],
    )
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": _judgeable(frame[columns])})
    outcome = batch.validate(suite, result_format="BASIC")
    by_name = {rule.name: rule for rule in rules}
    judged = {}
    for one in outcome.results:
        rule = by_name[one.expectation_config.meta["rule"]]
        judged[rule.name] = _judged(rule, one, len(frame))
    return judged


@lru_cache(maxsize=1)
def _batch_definition() -> Any:
    """Make the one context of this process: each costs half a second."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.execution_engine import pandas_execution_engine

    # Every cell of a frame would be hashed twice for each suite, into a mark that nothing reads: a quarter of
    # its time. Where a later release calls it otherwise, this changes nothing.
    pandas_execution_engine.hash_pandas_dataframe = _no_fingerprint

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("frames")
    return source.add_dataframe_asset("frame").add_batch_definition_whole_dataframe("whole")


def _no_fingerprint(_: pd.DataFrame) -> str:
    return ""


def _judgeable(frame: pd.DataFrame) -> pd.DataFrame:
    """Use plain types: the library's comparisons do not know ``Int64`` with missing values."""
    plain = frame.copy()
    for name in plain.columns:
        if str(plain[name].dtype) in ("Int64", "boolean"):
            plain[name] = plain[name].astype("float64")
        elif str(plain[name].dtype) == "str":
            plain[name] = plain[name].astype("object").where(plain[name].notna(), None)
        elif isinstance(plain[name].dtype, pd.DatetimeTZDtype):
            plain[name] = plain[name].dt.tz_convert(None)
    return plain


def _judged(rule: Rule, one: Any, count_rows: int) -> dict[str, Any]:
    found = dict(one.result or {})
    error = ""
    info = one.exception_info or {}
    details = info if "raised_exception" in info else next(iter(info.values()), {})
    if isinstance(details, dict) and details.get("raised_exception"):
        error = str(details.get("exception_message", "the rule could not be judged")).splitlines()[0]
    # a null is no example of anything
    seen = [] if rule.kind == NOT_NULL else found.get("partial_unexpected_list", [])
    examples = [str(value) for value in seen[:_EXAMPLES_MAX]]
    return _result(
        rule, bool(one.success), count_rows, int(found.get("unexpected_count") or 0), examples, error
    )


def _result(
    rule: Rule, success: bool, count_rows: int, count_unexpected: int, examples: list[str], error: str
) -> dict[str, Any]:
    return {
        "expectation": rule.name,
        "success": success,
        "is_blocking": rule.is_blocking,
        "count_rows": count_rows,
        "count_unexpected": count_unexpected,
        "examples": examples,
        "error": error,
    }
