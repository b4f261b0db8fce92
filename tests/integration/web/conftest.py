"""The API on this module's database."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.support.web_api import Desk, open_desk


@pytest.fixture
def desk(pg_role_urls: dict[str, str]) -> Iterator[Desk]:
    desk = open_desk(pg_role_urls)
    yield desk
    desk.close()


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    with desk.client() as client:
        yield client
