"""What was tried: how many rules each as-of date was searched for, under which settings and gates (§3.8)."""

import hashlib
import json
from dataclasses import fields
from typing import Any

import pandas as pd

from propdesk.pipeline.groups import GroupConfig, GroupTables
from propdesk.rules.gates import GateTable

COLUMNS = ("as_of_date", "settings_version", "gates_version", "level", "rules_tried", "rules_judged")


def settings_version(config: GroupConfig) -> str:
    """Hash the settings of step 8 that the gates do not carry, 16 hex digits.

    Examples
    --------
    >>> settings_version(GroupConfig()) == settings_version(GroupConfig(window_days=60))
    False
    """
    kept: dict[str, Any] = {
        field.name: getattr(config, field.name) for field in fields(config) if field.name != "minimum_trades"
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def trials(tables: GroupTables, gates: GateTable, config: GroupConfig) -> pd.DataFrame:
    """Count what one run of step 8 tried.

    Parameters
    ----------
    tables : GroupTables
        What the run made.
    gates : GateTable
        Thresholds that its rules are judged by; both profiles count as tried.
    config : GroupConfig
        Its settings.

    Returns
    -------
    DataFrame
        Rows of ``research.trial_ledger``: `COLUMNS`, one row per as-of date and level, sorted by both.
        ``rules_tried`` are the groups with a closed idea, ``rules_judged`` those with enough of them.
    """
    by = ["as_of_date", "level"]
    counted = [
        frame[by].astype(object).value_counts(sort=False).rename(name)
        for frame, name in ((tables.metrics, "rules_judged"), (tables.thin, "rules_thin"))
    ]
    found = pd.concat(counted, axis=1).fillna(0).astype("int64").reset_index()
    found["rules_tried"] = found["rules_judged"] + found["rules_thin"]
    found = found.assign(settings_version=settings_version(config), gates_version=gates.version)
    return found.sort_values(by, ignore_index=True)[list(COLUMNS)]
