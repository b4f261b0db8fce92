"""The parsed dbt project: read once, whatever the database is called, and lent to other data folders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.settings import Settings
from assets._shared.dbt_runner import DbtEvent, DbtRunner

NODE = {"database": "propdesk", "relation_name": '"propdesk"."marts"."rules"'}


class Reader(DbtRunner):
    """Reads a project without dbt, and counts how often."""

    read = 0

    def _invoke(self, words: Sequence[str], url: str, manifest: Any) -> tuple[list[DbtEvent], str | None]:
        assert list(words) == ["parse"]
        self.read += 1
        content = {"nodes": {"model": NODE, "test": {"relation_name": None}}, "sources": {"source": NODE}}
        (self.target_dir / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
        (self.target_dir / "partial_parse.msgpack").write_bytes(b"parsed")
        return [], None


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "model.sql").write_text("select 1", encoding="utf-8")
    return folder


def reader(home: Path, project: Path, url: str | None = None) -> Reader:
    return Reader(Settings(_env_file=None, home=home, postgres_url=url), project)


def test_what_was_read_is_lent_and_names_the_database_of_whoever_uses_it(
    tmp_path: Path, project: Path
) -> None:
    owner = reader(tmp_path / "home", project)
    assert owner.manifest["nodes"]["model"] == NODE
    owner.lend(tmp_path / "other")
    borrower = reader(tmp_path / "other", project, "postgresql+psycopg://u:p@127.0.0.1:5432/of_another")
    assert borrower.is_parsed
    there = {"database": "of_another", "relation_name": '"of_another"."marts"."rules"'}
    assert borrower.manifest["sources"]["source"] == there
    assert borrower.manifest["nodes"] == {
        "model": there,
        "test": {"database": "of_another", "relation_name": None},
    }
    assert (owner.read, borrower.read) == (1, 0)


def test_a_project_that_has_changed_is_read_anew_and_not_lent(tmp_path: Path, project: Path) -> None:
    reader(tmp_path / "home", project).manifest  # noqa: B018  read for what it leaves behind
    (project / "model.sql").write_text("select 2", encoding="utf-8")
    changed = reader(tmp_path / "home", project)
    changed.lend(tmp_path / "other")
    assert not reader(tmp_path / "other", project).is_parsed
    assert changed.manifest["nodes"]
    assert changed.read == 1
