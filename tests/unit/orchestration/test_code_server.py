import signal
import threading

import pytest
from dagster._grpc import server as grpc_server

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
