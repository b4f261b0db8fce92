"""What a run needs, imported once in the process from which runs are forked (`orchestration.code_server`)."""

import great_expectations  # noqa: F401  six seconds, for the quality suites
from dbt.cli import main  # noqa: F401  three seconds, for the marts

import orchestration.definitions  # noqa: F401  the assets and what they import
