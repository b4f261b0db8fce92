import stat
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from adapters.settings import NotConfigured, Settings
from orchestration.instance import dagster_yaml, workspace_yaml, write_dagster_yaml
from propdesk.core.errors import ConfigFault

URL = "postgresql+psycopg2://dagster:pw@127.0.0.1:5433/runs"


def settings(home: Path, **changes: object) -> Settings:
    return Settings(_env_file=None, home=home, dagster_postgres_url=SecretStr(URL), **changes)


def test_the_storage_names_a_driver_that_can_notify(tmp_path: Path) -> None:
    content = dagster_yaml(URL, tmp_path, settings(tmp_path))
    database = content["storage"]["custom"]["config"]["postgres_db"]
    assert database == {
        "scheme": "postgresql+psycopg2",
        "username": "dagster",
        "password": "pw",
        "hostname": "127.0.0.1",
        "port": 5433,
        "db_name": "runs",
    }


def test_nothing_is_sent_to_anyone(tmp_path: Path) -> None:
    content = dagster_yaml(URL, tmp_path, settings(tmp_path))
    assert content["telemetry"] == {"enabled": False}
    assert content["nux"] == {"enabled": False}


def test_retention_and_time_limit_follow_the_settings(tmp_path: Path) -> None:
    content = dagster_yaml(URL, tmp_path, settings(tmp_path, retention_runs_days=11, run_timeout_s=77))
    assert content["retention"]["schedule"]["purge_after_days"] == 11
    assert content["run_monitoring"]["max_runtime_seconds"] == 77


def test_files_are_written_for_us_alone(tmp_path: Path) -> None:
    home = tmp_path / "dagster"
    file = write_dagster_yaml(home, settings(tmp_path), code_port=4001)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert yaml.safe_load((home / "workspace.yaml").read_text()) == workspace_yaml(4001)
    assert yaml.safe_load(file.read_text()) == dagster_yaml(URL, home, settings(tmp_path))


def test_without_a_port_there_is_no_workspace(tmp_path: Path) -> None:
    write_dagster_yaml(tmp_path, settings(tmp_path))
    assert not (tmp_path / "workspace.yaml").exists()


def test_a_folder_that_cannot_be_made_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigFault, match="PROPDESK_DAGSTER_HOME"):
        write_dagster_yaml(tmp_path / "file" / "dagster", settings(tmp_path), code_port=1)


def test_without_a_database_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="DAGSTER_POSTGRES_URL"):
        write_dagster_yaml(tmp_path, Settings(_env_file=None, home=tmp_path))
