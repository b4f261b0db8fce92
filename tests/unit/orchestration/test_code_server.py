import importlib
import signal
import sys
import threading
from typing import cast

import pytest
from dagster._grpc import server as grpc_server
from dagster_dbt.utils import select_unique_ids

from assets._shared.dbt_runner import DbtRunner
from assets.dbt import RUNNER, marts
from orchestration import code_server


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put Dagster's server and our signal handlers back afterwards."""
    monkeypatch.setattr(grpc_server.DagsterApiServer, "__init__", grpc_server.DagsterApiServer.__init__)


def test_the_pinned_dagster_still_has_the_hooks(untouched: None) -> None:
    assert code_server.tune_server(), "runs would be spawned, each with seconds of imports"
    assert (
        code_server._END_HOOK
        in grpc_server.DagsterApiServer.__init__.__closure__[1].cell_contents.__code__.co_names
    )


def test_a_dagster_without_the_hook_keeps_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        def __init__(self) -> None:
            self.started = True

    monkeypatch.setattr(grpc_server, "DagsterApiServer", Server)
    assert not code_server.tune_server()
    assert Server().started


def test_asked_to_end_it_ends() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    over = threading.Event()
    try:
        code_server._end_on_signal(over)
        signal.raise_signal(signal.SIGTERM)
        assert over.wait(1)
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


class Project:
    def __init__(self, *, is_parsed: bool) -> None:
        self.is_parsed = is_parsed


def test_a_parsed_project_is_described_without_dbt(monkeypatch: pytest.MonkeyPatch) -> None:
    import dbt

    monkeypatch.setitem(sys.modules, "dbt", dbt)
    assert not code_server.spare_dbt(cast(DbtRunner, Project(is_parsed=False)))
    assert importlib.import_module("dbt") is dbt
    assert code_server.spare_dbt(cast(DbtRunner, Project(is_parsed=True)))
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("dbt")


def test_the_assets_are_those_that_dbt_itself_would_choose() -> None:
    chosen = select_unique_ids("fqn:*", "tag:inner", "", None, RUNNER.manifest)
    models = {RUNNER.manifest["nodes"][name]["name"] for name in chosen if name.startswith("model.")}
    assert {key.path[-1] for key in marts.keys} == models
    assert "int_rules" in models
    assert "int_gate_thresholds" not in models
