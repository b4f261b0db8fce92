"""Run a suite on a frame; a pure function of the two, so that an asset check can store what it likes."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from adapters.quality.suites import SUITES, Rule
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
    suite = SUITES.get(name)
    if suite is None:
        raise ConfigFault(f"There is no quality suite {name!r}: choose from {', '.join(sorted(SUITES))}.")
    present = set(frame.columns)
    runnable = [rule for rule in suite.rules if set(rule.columns) <= present]
    judged = _validate(frame, runnable)
    results = []
    for rule in suite.rules:
        if rule.name in judged:
            results.append(judged[rule.name])
        else:
            missing = sorted(set(rule.columns) - present)
            results.append(_result(rule, False, len(frame), 0, [], f"no column {', '.join(missing)}"))
    return SuiteResult(
        name,
        all(result["success"] for result in results),
        any(result["is_blocking"] and not result["success"] for result in results),
        results,
    )


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

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("frames")
    return source.add_dataframe_asset("frame").add_batch_definition_whole_dataframe("whole")


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
    examples = [str(value) for value in found.get("partial_unexpected_list", [])[:_EXAMPLES_MAX]]
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
