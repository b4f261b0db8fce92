"""The sample of ``up``: made and taken in by processes of their own, and once only."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from adapters.settings import Settings
from cli.demo import MainJobFailed, _generate, _in_own_process
from cli.stage import UpContext, UpOptions
from runtime.home import Home
from runtime.servers import ServerSet
from runtime.supervisor import Supervisor

pytestmark = pytest.mark.integration

OPTIONS = UpOptions(
    exit_after=True,
    first_day=date(2025, 1, 1),
    last_day=date(2025, 1, 2),
    replay_day=date(2025, 1, 3),
    per_day=3,
)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def context(tmp_path: Path, said: list[str]) -> Iterator[UpContext]:
    home = Home(tmp_path / "home")
    home.create()
    settings = Settings(_env_file=None, home=home.path, price_store_url=str(tmp_path / "prices"))
    supervisor = Supervisor(home, said.append)
    servers = ServerSet(home, settings, supervisor=supervisor, report=said.append)
    yield UpContext(home, settings, OPTIONS, supervisor, servers, said.append)
    supervisor.stop_all()


def test_the_sample_is_made_once(context: UpContext, said: list[str], tmp_path: Path) -> None:
    _generate(context)
    folder = context.home.path / "sample"
    assert {file.name for file in folder.iterdir()} == {
        "signals.csv", "replay_signals.jsonl", "instruments.csv", "truth.json", "made.json",
    }  # fmt: skip
    assert len(list((tmp_path / "prices" / "minute").iterdir())) > 2
    assert said[-1].startswith("  7 ideas and")
    assert context.supervisor.status() == [], "`status` lists nothing that has ended"
    made = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    _generate(context)
    assert said[-1] == "  the sample is there already"
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == made


def test_a_command_that_fails_says_why(context: UpContext) -> None:
    with pytest.raises(MainJobFailed, match=r"market generate --out .* failed: .*--first"):
        _in_own_process(
            context, "sample-market", "market", "generate", "--out", str(context.home.path), "--first", "soon"
        )
    assert context.supervisor.status() == []
