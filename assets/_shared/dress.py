"""What every asset carries besides its code: group, owner, kinds, columns, partitions, version."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from dagster import (
    AssetCheckSpec,
    AssetDep,
    AssetSpec,
    BackfillPolicy,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
)

from adapters.db.describe import describe_table
from assets._shared.partitions import MARKET_DAYS

OWNER: Final = "team:research"
POOL: Final = "pipeline"
"""Runs that write the research tables take turns (limit 1, see orchestration.instance)."""
CHECK: Final = "quality"
"""Name of the check that carries the verdict of an asset's suite."""
ONE_RUN: Final = BackfillPolicy.single_run()

GROUPS: Final = {
    1: "step_1_raw_signals",
    2: "step_2_validated_signals",
    3: "step_3_normalised_signals",
    4: "step_4_resolved_signals",
    5: "step_5_trades",
    6: "step_6_regimes",
    7: "step_7_excursions",
    8: "step_8_group_metrics",
    9: "step_9_rules",
}
"""One group per step of the pipeline, in its order."""

_CODE: Final = (
    "propdesk",
    "assets",
    "adapters/db/frames",
    "adapters/quality",
    "config",
    "dbt_project/models",
)
_CODE_SUFFIXES: Final = frozenset({".py", ".yaml", ".yml", ".sql"})


@cache
def code_version() -> str:
    """Name the code that computes the tables: a hash over its files, 12 hex digits."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for folder in _CODE:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix in _CODE_SUFFIXES and file.is_file():
                digest.update(file.relative_to(root).as_posix().encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def table_metadata(table: str) -> dict[str, Any]:
    """Give the table's name and columns in the shape that Dagster's pages know.

    Parameters
    ----------
    table : str
        With its schema, e.g. ``research.trades``.

    Returns
    -------
    dict
        Metadata of the definition, so that it is not repeated with every materialisation.
    """
    columns = [
        TableColumn(
            name=column.name,
            type=column.type_name,
            description=column.unit,
            constraints=TableColumnConstraints(
                nullable=column.is_nullable, other=["key"] if column.is_key else []
            ),
        )
        for column in describe_table(table)
    ]
    return {"dagster/table_name": table, "dagster/column_schema": TableSchema(columns=columns)}


def spec(
    step: int, name: str, table: str, description: str, *, deps: Iterable[AssetDep | str] = (), **kinds: Any
) -> AssetSpec:
    """Describe one table that a step writes.

    Parameters
    ----------
    step : int
        1 to 9.
    name : str
        Key of the asset.
    table : str
        With its schema.
    description : str
        Markdown for the asset's page.
    deps : iterable
        Names of assets that are read, or `AssetDep` with a partition mapping.
    **kinds
        ``kinds={...}`` to add to ``python`` and ``postgres``.

    Returns
    -------
    AssetSpec
        Partitioned by market day.
    """
    extra: set[str] = kinds.pop("kinds", set())
    return AssetSpec(
        key=name,
        deps=list(deps),
        description=description,
        group_name=GROUPS[step],
        owners=[OWNER],
        kinds={"python", "postgres", *extra},
        code_version=code_version(),
        metadata=table_metadata(table),
        partitions_def=MARKET_DAYS,
    )


def step(
    specs: Iterable[AssetSpec], *, judged: Iterable[str] = (), watched: Iterable[AssetCheckSpec] = ()
) -> Mapping[str, Any]:
    """Give the arguments that all steps hand to `multi_asset`.

    Parameters
    ----------
    specs : iterable of AssetSpec
        The tables of the step.
    judged : iterable of str
        Names of those whose quality suite stops what follows when it fails.
    watched : iterable of AssetCheckSpec
        Further checks, which stop nothing.

    Returns
    -------
    mapping
        Keyword arguments.
    """
    return {
        "specs": list(specs),
        "partitions_def": MARKET_DAYS,
        "backfill_policy": ONE_RUN,
        "pool": POOL,
        "check_specs": [
            AssetCheckSpec(
                CHECK,
                asset=name,
                blocking=True,
                description="Great Expectations suite of this table; each expectation's result is kept in "
                "research.quality_results.",
            )
            for name in judged
        ]
        + list(watched),
    }
