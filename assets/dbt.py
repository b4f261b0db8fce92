"""Step 9: the dbt models as assets, all in one invocation of dbt per run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    Failure,
    MetadataValue,
    Output,
    PartitionMapping,
    ResourceParam,
    TimeWindowPartitionMapping,
)
from dagster_dbt import DagsterDbtTranslator, dbt_assets
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

from adapters.db.grants import open_marts
from adapters.db.repos.pipeline import MARTS, count_by_day
from adapters.memory import give_back_memory
from adapters.settings import Settings, load_settings
from assets._shared import pictures
from assets._shared.dbt_runner import DbtEvent, DbtRunner
from assets._shared.dress import GROUPS, ONE_RUN, OWNER, POOL, code_version
from assets._shared.lineage import read_lineage
from assets._shared.partitions import MARKET_DAYS, DayRange, worked_range
from assets._shared.resources import Database, Market

RUNNER: Final = DbtRunner(load_settings())
LINEAGE: Final = read_lineage()
INNER: Final = "tag:inner"
"""Plain views between a table and the models that count; they stand in for their tables in the lineage."""


def without_inner(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Give dbt's manifest with its inner views as ephemeral, which are no assets to Dagster.

    Leaving them out by a selection would need dbt itself, whose import takes longer than all definitions.
    """
    nodes = {
        name: node | {"config": node["config"] | {"materialized": "ephemeral"}} if _is_inner(node) else node
        for name, node in manifest["nodes"].items()
    }
    return {**manifest, "nodes": nodes}


def _is_inner(node: Mapping[str, Any]) -> bool:
    return "inner" in node["tags"]


MANIFEST: Final = without_inner(RUNNER.manifest)


class Translator(DagsterDbtTranslator):
    """Names and dresses dbt's models like the other assets; a source is the asset that writes its table."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        """Key by the table's name alone: names are unique across the schemas; a plain view is its table."""
        name = dbt_resource_props["name"]
        return AssetKey("gate_thresholds" if name == "int_gate_thresholds" else name.removeprefix("stg_"))

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Put all models into step 9; a source belongs to the step that writes it."""
        return GROUPS[9] if dbt_resource_props["resource_type"] == "model" else None

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
        """Give the models the owner of the other steps."""
        return [OWNER] if dbt_resource_props["resource_type"] == "model" else None

    def get_code_version(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Name the version of the whole pipeline: a model depends on what the steps before computed."""
        return code_version()

    def get_partition_mapping(
        self, dbt_resource_props: Mapping[str, Any], dbt_parent_resource_props: Mapping[str, Any]
    ) -> PartitionMapping | None:
        """Read the same as-of day of step 8 and of other models."""
        return TimeWindowPartitionMapping()


@dbt_assets(
    manifest=MANIFEST,
    dagster_dbt_translator=Translator(),
    partitions_def=MARKET_DAYS,
    backfill_policy=ONE_RUN,
    pool=POOL,
    name=GROUPS[9],
)
def marts(
    context: AssetExecutionContext,
    database: ResourceParam[Database],
    market: ResourceParam[Market],
    settings: ResourceParam[Settings],
) -> Iterator[Output[None] | AssetCheckResult]:
    """Build the selected models for the run's as-of days; tests become checks of their models."""
    days = worked_range(context, market.today())
    give_back_memory()
    with database.engine.begin() as connection:
        open_marts(connection)
    events, problem = RUNNER.build(variables(days, settings), _selected(context))
    with database.transaction() as connection:
        _describe(context, count_by_day(connection, MARTS, days.first, days.last), days)
    for event in events:
        yield from _results(context, event)
    if problem is not None:
        raise Failure(
            description=f"dbt failed: {problem}", metadata={"window": MetadataValue.text(str(days))}
        )


def variables(days: DayRange, settings: Settings) -> dict[str, str]:
    """Give dbt the range to build and the settings that its SQL needs.

    Parameters
    ----------
    days : DayRange
        As-of days.
    settings : Settings

    Returns
    -------
    dict
        Names as in dbt_project.yml.
    """
    return {
        "min_date": days.first.isoformat(),
        "max_date": days.last.isoformat(),
        "size_model": settings.size_model,
    }


def _selected(context: AssetExecutionContext) -> list[str] | None:
    """Name the models of a partial selection, and the views they read; None means the whole project."""
    if not context.is_subset:
        return None
    return [INNER, *sorted(key.path[-1] for key in context.selected_asset_keys)]


def _describe(context: AssetExecutionContext, counts: dict[str, dict[str, int]], days: DayRange) -> None:
    """Attach rows per day, window and column lineage, the latter to the newest day only: it is large."""
    for name in sorted(key.path[-1] for key in context.selected_asset_keys):
        context.add_asset_metadata({"run_days": str(days), "code_version": code_version()}, name)
        for day in context.partition_keys if name in counts else ():
            context.add_asset_metadata({"dagster/partition_row_count": counts[name].get(day, 0)}, name, day)
        if name in LINEAGE:
            newest = context.partition_keys[-1]
            context.add_asset_metadata({"dagster/column_lineage": LINEAGE[name]}, name, newest)
    eligible = counts.get("eligible_rules", {})
    if AssetKey("eligible_rules") in context.selected_asset_keys:
        picture = pictures.stacked_days(
            list(eligible), {"rules": list(eligible.values())}, "Eligible rules by as-of day", "rules"
        )
        context.add_asset_metadata({"picture": picture}, "eligible_rules")


def _results(context: AssetExecutionContext, event: DbtEvent) -> Iterator[Any]:
    """Turn what dbt says of one model or test into Dagster's events; of inner views nothing is told."""
    nodes = MANIFEST["nodes"]
    node = nodes.get(event.raw.get("data", {}).get("node_info", {}).get("unique_id"))
    if node is None or _is_inner(nodes.get(node.get("attached_node"), node)):
        return
    message = DbtCoreCliEventMessage(raw_event=dict(event.raw), event_history_metadata={})
    yield from message.to_default_asset_events(
        manifest=MANIFEST, dagster_dbt_translator=Translator(), context=context
    )
