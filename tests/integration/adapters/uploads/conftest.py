from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.db.engine import create_engine
from adapters.settings import Settings
from tests.support.signal_door import Door


@pytest.fixture
def door(settings: Settings, pg_url: str, tmp_path: Path) -> Iterator[Door]:
    engine = create_engine(pg_url, "test")
    made = Door(engine, settings, tmp_path)
    made.tamper("TRUNCATE raw.signal_log, raw.landed_rows, raw.uploads, raw.quarantine")
    yield made
    engine.dispose()
