"""Pages of real tables: whole, stable, filtered, of one account; and what cannot be asked."""

import math
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.db.engine import psycopg_dsn
from adapters.db.repos.listings import load_listings
from adapters.db.repos.pages import make_query, read_page
from propdesk.model.user import UserRole
from tests.support.marts import fill, make_marts
from tests.support.rows import any_row
from tests.support.web_api import ACCOUNT, NOW, Desk

pytestmark = pytest.mark.integration

LISTINGS = {listing.name: listing for listing in load_listings()}
REGIMES = LISTINGS["regimes"]
DAY = date(2025, 6, 30)
COLUMNS = ("label", "adx", "slope", "trade_date", "scope")
RATIO = st.none() | st.sampled_from([0.0, -1.5, 0.1, math.inf, -math.inf, math.nan])
ROWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["MARKET", "A", "B"]),
        st.none() | st.sampled_from(["UP", "DOWN", "it's"]),
        RATIO,
        RATIO,
    ),
    unique_by=lambda row: row[:2],
    max_size=9,
)
SORT = st.lists(
    st.tuples(st.sampled_from(COLUMNS), st.booleans()), max_size=3, unique_by=lambda word: word[0]
).map(lambda words: ",".join(("-" if down else "") + name for name, down in words))


@pytest.fixture(scope="module")
def connection(pg_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(psycopg_dsn(pg_url), autocommit=True) as connection:
        yield connection


@pytest.fixture
def viewer(desk: Desk) -> dict[str, str]:
    return desk.headers(UserRole.VIEWER)


def rank(value: object) -> tuple[int, object]:
    """PostgreSQL's place of a value among others of its column: NaN above everything."""
    if isinstance(value, float) and math.isnan(value):
        return (1, 0.0)
    return (0, value)


def sorted_by_hand(rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    words = [word for word in (sort or REGIMES.order).split(",") if word]
    down = words[0].startswith("-")
    words += [("-" if down else "") + name for name in ("trade_date", "scope")]
    ordered = list(rows)
    for word in reversed(words):  # stable: the last word first
        name, is_down = word.removeprefix("-"), word.startswith("-")
        known = [row for row in ordered if row[name] is not None]
        known.sort(key=lambda row: rank(row[name]), reverse=is_down)
        if is_down:  # reverse keeps equal rows in their order
            assert all(rank(a[name]) >= rank(b[name]) for a, b in pairwise(known))  # type: ignore[operator]
        ordered = known + [row for row in ordered if row[name] is None]
    return ordered


def printed(rows: list[dict[str, Any]]) -> list[str]:
    return [repr([row[name] for name in COLUMNS]) for row in rows]


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, sort=SORT, limit=st.integers(1, 4))
@example(rows=[(0, "A", None, None, math.nan), (0, "B", None, math.nan, None)], sort="adx,-slope", limit=1)
def test_the_pages_joined_are_the_whole_in_its_order(
    connection: psycopg.Connection[Any], rows: list[tuple[Any, ...]], sort: str, limit: int
) -> None:
    made = [
        {
            "trade_date": DAY + timedelta(row[0]),
            "scope": row[1],
            "label": row[2],
            "adx": row[3],
            "slope": row[4],
        }
        for row in rows
    ]
    with connection.transaction(force_rollback=True):
        connection.execute("DELETE FROM ref.regimes")
        fill(connection, "ref.regimes", made)
        joined: list[dict[str, Any]] = []
        cursor = None
        for _ in range(len(made) + 1):
            page = read_page(
                connection, make_query(REGIMES, sort=sort or None, limit=limit, cursor=cursor), ACCOUNT
            )
            assert len(page.rows) <= limit
            joined += page.rows
            cursor = page.next_cursor
            if cursor is None:
                break
        assert cursor is None
    assert printed(joined) == printed(sorted_by_hand(made, sort))


def test_rows_that_come_meanwhile_shift_nothing(connection: psycopg.Connection[Any]) -> None:
    with connection.transaction(force_rollback=True):
        fill(connection, "ref.regimes", [{"trade_date": DAY, "scope": s, "adx": 0.5} for s in "bdfh"])
        first = read_page(connection, make_query(REGIMES, sort="adx", limit=2), ACCOUNT)
        fill(connection, "ref.regimes", [{"trade_date": DAY, "scope": s, "adx": 0.5} for s in "ag"])
        query = make_query(REGIMES, sort="adx", limit=9, cursor=first.next_cursor)
        second = read_page(connection, query, ACCOUNT)
    assert [row["scope"] for row in first.rows] == ["b", "d"]
    assert [row["scope"] for row in second.rows] == ["f", "g", "h"]


@pytest.mark.parametrize(
    ("condition", "scopes"),
    [
        ("scope=a", ["a"]),
        ("scope!=a", ["b", "c"]),
        ("label=null", ["b"]),
        ("label!=null", ["a", "c"]),
        ("label!=UP", ["b", "c"]),
        ("label=it's", ["c"]),
        ("adx>0", ["a"]),
        ("adx<=0", ["c"]),
        ("trade_date<2025-07-01", ["a", "b", "c"]),
        ("trade_date>2025-06-30", []),
        ("scope=' OR 1=1 --", []),
        ("scope=%s", []),
    ],
)
def test_filters(connection: psycopg.Connection[Any], condition: str, scopes: list[str]) -> None:
    with connection.transaction(force_rollback=True):
        for scope, label, adx in (("a", "UP", 1.0), ("b", None, None), ("c", "it's", -1.0)):
            fill(connection, "ref.regimes", [{"trade_date": DAY, "scope": scope, "label": label, "adx": adx}])
        page = read_page(connection, make_query(REGIMES, filters=[condition], sort="scope"), ACCOUNT)
    assert [row["scope"] for row in page.rows] == scopes


@pytest.mark.parametrize("sort", ["label", "-label", "label,-scope"])
def test_long_texts_are_paged_by_their_beginning(connection: psycopg.Connection[Any], sort: str) -> None:
    with connection.transaction(force_rollback=True):
        for number, tail in enumerate("cab"):
            label = '\N{GRINNING FACE}"' * 2_500 + tail
            fill(connection, "ref.regimes", [{"trade_date": DAY, "scope": f"s{number}", "label": label}])
        seen, cursor = [], None
        for _ in range(4):
            query = make_query(REGIMES, sort=sort, limit=1, cursor=cursor)
            page = read_page(connection, query, ACCOUNT)
            seen += [row["scope"] for row in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert seen == sorted(seen, reverse="-" in sort)
    assert len(seen) == 3


def test_a_cursor_serves_its_own_question_only(
    client: TestClient, viewer: dict[str, str], connection: psycopg.Connection[Any]
) -> None:
    fill(connection, "ref.regimes", [{"trade_date": DAY, "scope": s} for s in "abc"])
    first = client.get("/api/v1/regimes?limit=1", headers=viewer).json()
    cursor = first["next_cursor"]
    rest = client.get("/api/v1/regimes", params={"cursor": cursor}, headers=viewer).json()
    assert [row["scope"] for row in first["items"] + rest["items"]] == ["c", "b", "a"]
    for other in ("sort=scope", "filter=scope=a"):
        answer = client.get(f"/api/v1/regimes?{other}&cursor={cursor}", headers=viewer)
        assert answer.status_code == 422, other
    assert client.get(f"/api/v1/trades?cursor={cursor}", headers=viewer).status_code == 422
    connection.execute("DELETE FROM ref.regimes")


def test_an_answer_changes_its_tag_with_its_rows(
    client: TestClient, viewer: dict[str, str], connection: psycopg.Connection[Any]
) -> None:
    before = client.get("/api/v1/regimes", headers=viewer)
    known = {**viewer, "If-None-Match": before.headers["etag"]}
    same = client.get("/api/v1/regimes", headers=known)
    assert (same.status_code, same.content) == (304, b"")
    fill(connection, "ref.regimes", [{"trade_date": DAY, "scope": "new"}])
    after = client.get("/api/v1/regimes", headers=known)
    assert after.status_code == 200
    assert after.headers["etag"] != before.headers["etag"]
    assert after.headers["cache-control"] == "private, no-cache"
    connection.execute("DELETE FROM ref.regimes")


def test_only_the_accounts_own_rows_are_shown(
    client: TestClient, viewer: dict[str, str], connection: psycopg.Connection[Any]
) -> None:
    for account in (ACCOUNT, "other"):
        fill(
            connection,
            "trading.heartbeats",
            [
                {
                    "account_id": account, "component": f"of {account}", "beat_at": NOW,
                    "epoch": 1, "pid": 7, "detail": "{}",
                }
            ],
        )  # fmt: skip
    shown = client.get("/api/v1/heartbeats", headers=viewer).json()["items"]
    assert [row["component"] for row in shown] == ["of paper"]
    hidden = client.get("/api/v1/heartbeats?filter=account_id=other", headers=viewer)
    assert hidden.status_code == 422


INJECTIONS = ["n;DROP TABLE ref.regimes", "scope' OR '1'='1", '"scope"', "(SELECT 1)", "scope--", "1"]


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("where", ["sort={}", "filter={}=1", "filter={}", "cursor={}", "{}=1"])
def test_nothing_of_a_request_becomes_sql(
    client: TestClient, viewer: dict[str, str], where: str, text: str
) -> None:
    name, _, value = where.format(text).partition("=")
    answer = client.get("/api/v1/regimes", params={name: value}, headers=viewer)
    assert answer.status_code == 422, answer.text
    assert client.get("/api/v1/regimes", headers=viewer).status_code == 200


def test_tables_that_dbt_has_not_made_yet_are_empty_and_then_show_the_newest_day(
    client: TestClient, viewer: dict[str, str], connection: psycopg.Connection[Any]
) -> None:
    empty = client.get("/api/v1/rules", headers=viewer)
    assert empty.json() == {"items": [], "next_cursor": None, "newest": None}
    assert client.get("/api/v1/rules/funnel?profile=desk", headers=viewer).status_code == 404
    make_marts(connection)
    rule = {
        "level": "RULE_6D", "advisor_id": "A", "n": 20, "desk_passes": False, "original_passes": False,
        "post_mean_r": 0.1, "prob_edge": 0.9, "trades_executed": 20,
    }  # fmt: skip
    fill(
        connection,
        "marts.rules_6d",
        [
            {**rule, "as_of_date": DAY, "rule_text": "old"},
            {**rule, "as_of_date": date(2025, 7, 1), "rule_text": "r1", "profit_factor": math.inf,
             "desk_failed_gates": ["sharpe", "mdd"]},
            {**rule, "as_of_date": date(2025, 7, 1), "rule_text": "r2", "profit_factor": math.nan,
             "desk_failed_gates": []},
        ],
    )  # fmt: skip
    mini = {
        **rule,
        "level": "MINI",
        "as_of_date": date(2025, 7, 1),
        "rule_text": "m",
        "desk_failed_gates": None,
    }
    fill(connection, "marts.mini_rules", [mini])
    leader = any_row(connection, "marts.advisor_leaderboard", 1)
    fill(connection, "marts.advisor_leaderboard", [{**leader, "as_of_date": date(2025, 7, 1)}])

    newest = client.get("/api/v1/rules?sort=rule_text", headers=viewer).json()
    assert [row["rule_text"] for row in newest["items"]] == ["m", "r1", "r2"]
    assert newest["newest"] == "2025-07-01"
    assert [row["profit_factor"] for row in newest["items"]] == [None, "Infinity", None]
    named = client.get("/api/v1/rules?filter=as_of_date=2025-06-30", headers=viewer).json()
    assert ([row["rule_text"] for row in named["items"]], named["newest"]) == (["old"], None)
    failing = client.get("/api/v1/rules?filter=desk_failed_gates=mdd", headers=viewer).json()
    assert [row["rule_text"] for row in failing["items"]] == ["r1"]
    others = client.get("/api/v1/rules?filter=desk_failed_gates!=mdd&sort=rule_text", headers=viewer).json()
    assert [row["rule_text"] for row in others["items"]] == [
        "m",
        "r2",
    ]  # m has no list, so none that holds it

    first = client.get("/api/v1/rules?sort=rule_text&limit=2", headers=viewer).json()
    fill(connection, "marts.rules_6d", [{**rule, "as_of_date": date(2025, 7, 2), "rule_text": "new"}])
    fill(connection, "marts.advisor_leaderboard", [{**leader, "as_of_date": date(2025, 7, 2)}])
    query = {"sort": "rule_text", "limit": 2, "cursor": first["next_cursor"]}
    second = client.get("/api/v1/rules", params=query, headers=viewer).json()
    assert [row["rule_text"] for row in second["items"]] == ["r2"]  # the day of the first page goes on
    assert client.get("/api/v1/rules", headers=viewer).json()["newest"] == "2025-07-02"

    funnel = client.get("/api/v1/rules/funnel?profile=desk&as_of=2025-07-01", headers=viewer).json()
    assert [(line["gate"], line["failed"]) for line in funnel["lines"]] == [("sharpe", 1), ("mdd", 1)]
    why = client.get("/api/v1/rules/why?rule=r1&as_of=2025-07-01", headers=viewer).json()
    assert (why["n"], why["gates"]) == (20, {"desk": [], "original": []})
    assert why["adverse_gates"] == {"desk": [], "original": []}
    assert client.get("/api/v1/rules/why?rule=none", headers=viewer).status_code == 404
    gates_against_an_advisor_stand_beside_those_of_the_rule(client, viewer, connection)


def gates_against_an_advisor_stand_beside_those_of_the_rule(
    client: TestClient, viewer: dict[str, str], connection: psycopg.Connection[Any]
) -> None:
    day = date(2025, 6, 27)
    named = {"as_of_date": day, "rule_text": "r1", "level": "RULE_6D", "category": "NSE_EQ"}
    fill(
        connection,
        "marts.rules_6d",
        [
            {**named, "advisor_id": "A", "n": 20, "desk_passes": False, "original_passes": False,
             "post_mean_r": -0.1, "prob_edge": 0.1, "trades_executed": 20, "profit_factor": 0.9},
        ],
    )  # fmt: skip
    fill(
        connection,
        "marts.adverse_rules",
        [
            {**any_row(connection, "marts.adverse_rules", 1), **named, "reverse_q": 0.2, "profit_factor": 0.7,
             "desk_passes": False, "desk_failed_gates": ["reverse_q"]},
        ],
    )  # fmt: skip
    asked = {"profile": "desk", "rule_level": "RULE_6D", "category": "NSE_EQ", "gates_version": "g"}
    limits = (
        ("profit_factor", ">=", 1.2),
        ("adverse_profit_factor", "<", 0.8),
        ("adverse_reverse_q", "<=", 0.05),
    )
    fill(
        connection,
        "ref.gate_thresholds",
        [{**asked, "gate": gate, "comparison": sign, "threshold": at} for gate, sign, at in limits],
    )
    why = client.get(f"/api/v1/rules/why?rule=r1&as_of={day}", headers=viewer).json()
    assert why["gates"]["desk"] == [
        {"gate": "profit_factor", "value": 0.9, "threshold": 1.2, "passed": False}
    ]
    assert why["adverse_gates"]["desk"] == [
        {"gate": "profit_factor", "value": 0.7, "threshold": 0.8, "passed": True},
        {"gate": "reverse_q", "value": 0.2, "threshold": 0.05, "passed": False},
    ]
    funnel = client.get(f"/api/v1/rules/funnel?profile=desk&as_of={day}", headers=viewer).json()
    (line,) = funnel["adverse_lines"]
    assert (line["gate"], line["failed"], line["failed_alone"]) == ("reverse_q", 1, 1)
    assert funnel["lines"] == []
