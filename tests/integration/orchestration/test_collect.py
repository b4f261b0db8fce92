from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from dagster import DagsterInstance, RunRequest, SkipReason, build_sensor_context
from pydantic import SecretStr
from pymongo import MongoClient

from adapters.db.engine import psycopg_dsn
from adapters.db.repos.pipeline import newest_landed_day
from adapters.mongo.batch import MongoUnreachable
from adapters.settings import Settings
from assets._shared.collect import collect_documents
from assets._shared.partitions import DayRange
from assets._shared.resources import Database, Market
from orchestration.jobs import TOUCHED_FIRST, TOUCHED_LAST, collect
from orchestration.sensors import signal_collection_changes
from propdesk.core.calendar import IST
from propdesk.core.clock import ManualClock, to_ns

pytestmark = pytest.mark.integration
DAY = date(2025, 6, 12)


def document(number: int, posted_at: object) -> dict[str, object]:
    return {
        "kind": "SIGNAL",
        "source_message_id": f"M{number}",
        "advisor_id": "ADV1",
        "advisor_name": "One",
        "posted_at": posted_at,
        "category": "NSE_EQ",
        "symbol": "TYRE",
        "side": "BUY",
        "entry_type": "LIMIT",
        "entry_low": "100.00",
        "stoploss": "99.00",
        "targets": "102.00",
    }


def test_documents_land_once_by_their_day(
    settings: Settings, pg_url: str, mongo_url: str, mongo_database: str
) -> None:
    known = settings.model_copy(update={"mongo_database": mongo_database})
    database, market = Database(known), Market(known)
    with MongoClient(mongo_url) as client:
        client[mongo_database][known.mongo_collection].insert_many(
            [
                document(1, "2025-06-12T10:00:00+05:30"),
                document(2, datetime(2025, 6, 12, 5, tzinfo=UTC)),
                document(3, "2025-06-13T10:00:00+05:30"),
            ]
        )
    assert collect_documents(database, market, known, DayRange(DAY, DAY)) == 2
    assert collect_documents(database, market, known, DayRange(DAY, DAY)) == 0, "landed already"
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        rows = connection.execute("SELECT trade_date, count(*) FROM raw.landed_rows GROUP BY 1").fetchall()
        assert rows == [(DAY, 2)]
        assert newest_landed_day(connection, date(2025, 12, 1)) == DAY
        assert newest_landed_day(connection, DAY) == DAY
        assert newest_landed_day(connection, DAY - timedelta(days=1)) is None


def test_an_empty_collection_leaves_no_upload_record(
    settings: Settings, pg_url: str, mongo_database: str
) -> None:
    known = settings.model_copy(update={"mongo_database": mongo_database})
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        before = connection.execute("SELECT count(*) FROM raw.uploads").fetchone()
        assert collect_documents(Database(known), Market(known), known, DayRange(DAY, DAY)) == 0
        assert connection.execute("SELECT count(*) FROM raw.uploads").fetchone() == before


def test_without_mongodb_nothing_is_asked(settings: Settings) -> None:
    known = settings.model_copy(update={"mongo_url": None})
    assert collect_documents(Database(known), Market(known), known, DayRange(DAY, DAY)) == 0


def test_a_server_that_is_away_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr("adapters.mongo.batch._SELECT_MS", 100)
    away = settings.model_copy(update={"mongo_url": SecretStr("mongodb://127.0.0.1:1/")})
    with pytest.raises(MongoUnreachable, match=r"run\.py up"):
        collect_documents(Database(away), Market(away), away, DayRange(DAY, DAY))


def looked_at(settings: Settings, when: datetime) -> RunRequest | SkipReason:
    """What the sensor says at a moment."""
    resources = {
        "database": Database(settings),
        "market": Market(settings, ManualClock(to_ns(when))),
        "settings": settings,
    }
    found = signal_collection_changes(build_sensor_context(resources=resources))
    assert isinstance(found, RunRequest | SkipReason)
    return found


EVENING = datetime(2025, 6, 16, 20, 0, tzinfo=IST)


def test_the_live_collection_is_followed_after_hours(
    settings: Settings, pg_url: str, mongo_url: str, mongo_database: str
) -> None:
    known = settings.model_copy(update={"mongo_database": mongo_database, "mongo_collection": "followed"})
    instance = DagsterInstance.ephemeral()
    assert isinstance(looked_at(known, EVENING), SkipReason), "an empty collection has no news"
    with MongoClient(mongo_url) as client:
        calls = client[mongo_database]["followed"]
        calls.insert_many([document(n, f"2025-06-{n}T10:00:00+05:30") for n in (12, 13, 16)])
        asked = looked_at(known, EVENING)
        assert isinstance(asked, RunRequest)
        again = looked_at(known, EVENING + timedelta(minutes=5))
        assert isinstance(again, RunRequest)
        assert again.run_key == asked.run_key, "what waits is not asked for twice"
        market = Market(known, ManualClock(to_ns(EVENING)))
        resources = {"database": Database(known), "market": market, "settings": known}
        done = collect.execute_in_process(instance=instance, resources=resources)
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        touched = (run.tags[TOUCHED_FIRST], run.tags[TOUCHED_LAST])
        assert touched == ("2025-06-12", "2025-06-13"), "the day itself is left to the runs after its close"
        assert isinstance(looked_at(known, EVENING), SkipReason), "all was taken"
        calls.delete_one({"source_message_id": "M12"})
        news = looked_at(known, EVENING)
        assert isinstance(news, RunRequest)
        assert news.run_key != asked.run_key
        done = collect.execute_in_process(instance=instance, resources=resources)
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        assert run.tags[TOUCHED_LAST] == "2025-06-12", "the day of what was taken back is computed anew"


@pytest.mark.parametrize(
    ("changes", "when", "why"),
    [
        ({"mongo_url": None}, EVENING, "No MongoDB"),
        ({}, datetime(2025, 6, 16, 12, 0, tzinfo=IST), "market is open"),
        ({"mongo_url": SecretStr("mongodb://127.0.0.1:1/")}, EVENING, "does not answer"),
        (
            {"mongo_url": SecretStr("mongodb://127.0.0.1:1/")},
            datetime(2025, 6, 15, 12, tzinfo=IST),
            "not answer",
        ),
    ],
    ids=["none", "open", "away", "sunday"],
)
def test_the_sensor_says_why_it_does_not_look(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    pg_url: str,
    changes: dict[str, object],
    when: datetime,
    why: str,
) -> None:
    monkeypatch.setattr("adapters.mongo.follow._SELECT_MS", 100)
    found = looked_at(settings.model_copy(update=changes), when)
    assert isinstance(found, SkipReason)
    assert why in str(found.skip_message)
