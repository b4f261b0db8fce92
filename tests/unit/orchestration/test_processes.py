import sys
from pathlib import Path

from adapters.settings import Settings
from orchestration.processes import dagster_environment, dagster_processes, page_obstacle, port_obstacle


def test_three_processes_listen_on_the_loopback_interface_only(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    found = dagster_processes(tmp_path, settings, code_port=1, webserver_port=2)
    assert [process.name for process in found] == ["dagster-code", "dagster-webserver", "dagster-daemon"]
    for process in found[:2]:
        assert "127.0.0.1" in process.argv
    assert all(process.argv[0] == sys.executable for process in found)


def test_children_find_dbt_and_their_home(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    env = dagster_environment(tmp_path / "dagster", settings)
    assert env["PATH"].startswith(str(Path(sys.executable).parent))
    assert env["PROPDESK_HOME"] == str(tmp_path)
    assert env["DAGSTER_EVENT_BATCH_SIZE"] == "1000"
    assert env["DAGSTER_GRPC_TIMEOUT_SECONDS"] == "300", (
        "Dagster's own 60 s fail a first run on a busy machine"
    )


def test_what_does_not_answer_gives_its_reason() -> None:
    assert "port 1" in (port_obstacle(1) or "")
    assert "does not answer" in (page_obstacle("http://127.0.0.1:1") or "")
