"""The OpenAPI document tells the truth: requests made from it, good and bad, are answered as it says.

The suite makes a few requests per operation. The long run is
``python3 run.py test --no-static -- tests/integration/web/test_document.py --api-examples 1000``.
"""

from collections.abc import Iterator

import hypothesis
import psycopg
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from adapters.db.engine import psycopg_dsn
from adapters.db.repos.listings import load_listings
from propdesk.model.user import UserRole
from tests.support.desk_commands import answer, ask_anything
from tests.support.marts import fill, make_marts
from tests.support.rows import any_row, drop_checks
from tests.support.web_api import ACCOUNT, Desk, open_desk

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def desk(pg_role_urls: dict[str, str], pg_url: str) -> Iterator[Desk]:
    """Give an API on tables that hold rows with values and rows with as few as they may."""
    with psycopg.connect(psycopg_dsn(pg_url), autocommit=True) as connection:
        make_marts(connection)
        drop_checks(connection)
        for listing in load_listings():
            if listing.name == "rules":  # views, whose contract leaves to int_rules what may be null
                fill(connection, "marts.rules_6d", [any_row(connection, "marts.rules_6d", n) for n in (1, 2)])
            elif listing.name == "commands":  # numbered by the table, which takes sensible ones only
                ask_anything(connection, ACCOUNT, "waits")
                answer(connection, ACCOUNT, ask_anything(connection, ACCOUNT), "DONE")
            elif listing.name != "trade-events":  # written by the trigger on executed trades
                rows = [any_row(connection, listing.source, n) for n in range(3)]
                fill(connection, listing.source, rows)
    desk = open_desk(pg_role_urls)
    yield desk
    desk.close()


def operations(desk: Desk) -> list[APIOperation]:
    schema: BaseSchema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", desk.app)
    found = [found.ok() for found in schema.get_all_operations()]
    return [operation for operation in found if operation.path != "/api/v1/events"]  # has no end


def test_every_table_shows_its_rows_as_described(desk: Desk) -> None:
    headers = desk.headers(UserRole.ADMIN)
    described = {operation.path: operation for operation in operations(desk)}
    with TestClient(desk.app) as client:
        for listing in load_listings():
            answer = client.get(f"/api/v1/{listing.name}", headers=headers)
            assert answer.status_code == 200, answer.text
            assert answer.json()["items"], listing.name
            described[f"/api/v1/{listing.name}"].validate_response(answer)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_requests_from_the_document_are_answered_as_it_says(
    desk: Desk, mode: GenerationMode, pytestconfig: pytest.Config
) -> None:
    examples = int(pytestconfig.getoption("--api-examples"))
    tried = []
    for operation in operations(desk):
        count = 0

        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Case) -> None:
            nonlocal count
            count += 1
            desk.parts.limiter.storage.reset()
            # One of the requests logs out.
            case.call_and_validate(headers=desk.headers(UserRole.ADMIN), checks=CHECKS)

        try:
            ask()
        except hypothesis.errors.Unsatisfiable:  # nothing can be wrong with a request without parameters
            assert mode is GenerationMode.NEGATIVE
        else:
            tried.append((operation.label, count))
    assert len(tried) > 40
