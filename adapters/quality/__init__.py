"""Quality suites of the pipeline's tables."""

from adapters.quality.run import SuiteResult, run_rules, run_suite
from adapters.quality.suites import SUITES, Rule, Suite

__all__ = ["SUITES", "Rule", "Suite", "SuiteResult", "run_rules", "run_suite"]
