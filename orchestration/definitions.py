"""Everything that Dagster loads: assets, jobs, schedules, sensors and the resources they share."""

from typing import Final

from dagster import Definitions, PipesSubprocessClient, in_process_executor

from adapters.clock import SystemClock
from adapters.log import configure_logging
from adapters.settings import load_settings
from assets._shared.resources import Database, Market
from assets.dbt import marts
from assets.excursions import excursions
from assets.features import verified_trades
from assets.ingest import raw_signals
from assets.normalise import normalised_signals
from assets.regime import regimes
from assets.replay import group_facts
from assets.resolve import resolved_signals
from assets.sources import SOURCES
from assets.validate import validated_signals
from orchestration.jobs import (
    ALL_STEPS,
    METRICS_AND_RULES,
    PREMARKET,
    SIGNALS_TO_EXCURSIONS,
    collect,
    recordings,
    retention,
    upload,
)
from orchestration.schedules import SCHEDULES
from orchestration.sensors import SENSORS

STEPS: Final = [
    raw_signals,
    validated_signals,
    normalised_signals,
    resolved_signals,
    verified_trades,
    regimes,
    excursions,
    group_facts,
    marts,
]

_settings = load_settings()
configure_logging("pipeline", SystemClock(), level=_settings.log_level, secrets=_settings.secret_values())

defs: Final = Definitions(
    assets=[*SOURCES, *STEPS],
    jobs=[
        SIGNALS_TO_EXCURSIONS,
        METRICS_AND_RULES,
        ALL_STEPS,
        upload,
        collect,
        PREMARKET,
        recordings,
        retention,
    ],
    schedules=SCHEDULES,
    sensors=SENSORS,
    # The steps of a day are short: a process for each would cost more than its work.
    executor=in_process_executor,
    resources={
        "database": Database(_settings),
        "market": Market(_settings),
        "settings": _settings,
        "pipes": PipesSubprocessClient(),
    },
)
