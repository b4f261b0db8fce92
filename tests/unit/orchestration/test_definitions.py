"""The whole graph loads without any server, and every asset is dressed."""

from itertools import pairwise

import pytest
from dagster import AssetKey, RepositoryDefinition
from dagster._core.definitions.assets.graph.asset_graph import AssetNode

from assets._shared.dress import GROUPS
from assets._shared.partitions import MARKET_DAYS
from orchestration.definitions import defs

REPOSITORY: RepositoryDefinition = defs.get_repository_def()
NODES: list[AssetNode] = [
    REPOSITORY.asset_graph.get(key) for key in sorted(REPOSITORY.asset_graph.executable_asset_keys)
]
STEP_9 = {"rules_6d", "mini_rules", "adverse_rules", "eligible_rules"}
TABLES = {
    "step_1_raw_signals": {"raw_signals"},
    "step_2_validated_signals": {"validated_signals", "followups"},
    "step_3_normalised_signals": {"normalised_signals"},
    "step_4_resolved_signals": {"resolved_signals"},
    "step_5_trades": {"trades", "trade_legs", "trade_marks", "outcome_audit", "signal_flags"},
    "step_6_regimes": {"regimes"},
    "step_7_excursions": {"excursions"},
    "step_8_group_metrics": {
        "corpus_replays",
        "equity_curves",
        "group_metrics",
        "thin_groups",
        "gate_thresholds",
    },
}


def test_the_groups_are_the_nine_steps() -> None:
    found: dict[str, set[str]] = {}
    for node in NODES:
        found.setdefault(node.group_name, set()).add(node.key.path[-1])
    marts = found.pop(GROUPS[9])
    assert found == TABLES
    assert marts >= STEP_9


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.key.path[-1])
def test_an_asset_is_dressed(node: AssetNode) -> None:
    assert node.partitions_def == MARKET_DAYS, "one definition for all, or a range falls into several runs"
    assert node.backfill_policy is not None
    assert node.backfill_policy.max_partitions_per_run is None, "one run whatever the range"
    assert node.pools == {"pipeline"}
    assert node.description, "says what it holds"
    assert node.owners == ["team:research"]
    assert node.kinds >= {"postgres"}
    assert node.code_version


@pytest.mark.parametrize(
    "node", [n for n in NODES if n.group_name != GROUPS[9]], ids=lambda n: n.key.path[-1]
)
def test_a_steps_table_shows_its_columns(node: AssetNode) -> None:
    schema = node.metadata["dagster/column_schema"]
    assert schema.columns
    assert any("key" in (column.constraints.other or []) for column in schema.columns)


def test_the_metrics_read_a_window_and_the_rules_the_same_day() -> None:
    graph = REPOSITORY.asset_graph
    window = graph.get_partition_mapping(AssetKey("group_metrics"), AssetKey("trades"))
    assert window.start_offset <= -500
    same = graph.get_partition_mapping(AssetKey("int_rules"), AssetKey("group_metrics"))
    assert same.start_offset == 0


@pytest.mark.parametrize(
    "name",
    [
        "raw_signals",
        "validated_signals",
        "normalised_signals",
        "resolved_signals",
        "trades",
        "excursions",
        "group_metrics",
        "thin_groups",
    ],
)
def test_a_judged_table_blocks_what_follows(name: str) -> None:
    graph = REPOSITORY.asset_graph
    blocks = {
        key.name: graph.get_check_spec(key).blocking
        for key in graph.asset_check_keys
        if key.asset_key == AssetKey(name)
    }
    watched = {"price_coverage": False} if name == "trades" else {}
    assert blocks == {"quality": True, **watched}


def test_a_check_says_what_must_hold() -> None:
    """dbt's own two kinds say it by their names."""
    graph = REPOSITORY.asset_graph
    silent = {key.name for key in graph.asset_check_keys if not graph.get_check_spec(key).description}
    assert {name for name in silent if not name.startswith(("not_null_", "accepted_values_"))} == set()


def test_dbt_tests_are_checks_of_their_models() -> None:
    tested = {key.asset_key.path[-1] for key in REPOSITORY.asset_graph.asset_check_keys}
    assert tested >= STEP_9


def test_jobs_schedules_and_sensors_are_there() -> None:
    jobs = {name for name in REPOSITORY.job_names if not name.startswith("__")}
    assert jobs == {
        "signals_to_excursions",
        "metrics_and_rules",
        "all_steps",
        "upload",
        "collect",
        "premarket",
        "recordings",
        "retention",
    }
    assert {sensor.name for sensor in REPOSITORY.sensor_defs} == {
        "upload_folder",
        "signal_collection_changes",
        "after_upload",
        "after_excursions",
        "failed_run",
        "daemon_heartbeat",
        "freshness",
    }
    assert {schedule.name for schedule in REPOSITORY.schedule_defs} == {
        "after_close",
        "true_up",
        "catch_up",
        "before_open",
        "morning_recordings",
        "nightly_retention",
    }


def test_premarket_chains_its_five_steps() -> None:
    graph = REPOSITORY.get_job("premarket").graph
    order = ["token", "scrip", "symbols", "regime", "corpus"]
    assert {node.name for node in graph.nodes} == {f"premarket_{step}" for step in order}
    for before, after in pairwise(order):
        (upstream,) = graph.dependency_structure.input_to_upstream_outputs_for_node(
            f"premarket_{after}"
        ).values()
        assert [output.node_name for output in upstream] == [f"premarket_{before}"]
