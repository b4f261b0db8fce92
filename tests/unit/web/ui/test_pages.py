import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from web.ui.grid import GridSpec
from web.ui.pages import PAGES, quality


def test_no_two_pages_share_a_path_or_a_name_in_the_menu() -> None:
    assert len({page.path for page in PAGES}) == len(PAGES)
    names = [page.menu for page in PAGES if page.menu]
    assert len(set(names)) == len(names)


def test_no_column_stands_twice_in_a_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[GridSpec] = []
    monkeypatch.setattr(quality, "grid", lambda _, spec: seen.append(spec))
    monkeypatch.setattr(quality, "heading", lambda *_: None)
    visit: Any = SimpleNamespace(house=SimpleNamespace(dagster_url=None))
    asyncio.run(quality.build(visit))
    assert seen
    for spec in seen:
        assert len(set(spec.columns)) == len(spec.columns), spec.listing
