"""A MongoDB collection as a source: resumable, idempotent, edits and deletions seen."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from bson import Binary, Decimal128, ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection
from sqlalchemy import Engine

from adapters.calendar import load_calendar
from adapters.db.engine import begin, create_engine
from adapters.db.repos.collections import read_position
from adapters.db.repos.uploads import QuarantineFilter
from adapters.db.repos.verify import verify_all
from adapters.mongo.follow import CollectionReader, HistoryLost
from adapters.settings import Settings
from adapters.uploads.collection import CollectionSummary, ingest_collection
from adapters.uploads.quarantine import retry_rows
from propdesk.core.calendar import IST
from propdesk.core.clock import ManualClock, to_ns
from propdesk.intake.document import document_hash

pytestmark = pytest.mark.integration
_numbers = count(1)


def document(number: int, **changes: object) -> dict[str, Any]:
    base: dict[str, Any] = {
        "kind": "SIGNAL",
        "source_message_id": f"M{number}",
        "advisor_id": "ADV1",
        "posted_at": datetime(2025, 6, 12, 10, number % 60, tzinfo=IST),
        "category": "NSE_EQ",
        "symbol": "TYRE",
        "side": "BUY",
        "entry_low": 100.5,
        "stoploss": Decimal128("99.00"),
        "targets": [102, 104.25],
    }
    return base | changes


class Source:
    """One collection and one database."""

    def __init__(self, engine: Engine, settings: Settings, collection: Collection[dict[str, Any]]) -> None:
        self.engine = engine
        self.settings = settings
        self.collection = collection
        self.clock = ManualClock(to_ns(datetime(2025, 7, 1, 8, 0, tzinfo=IST)))

    def ingest(self, size: int = 1_000, **options: Any) -> CollectionSummary:
        self.clock.advance_to(self.clock.now_ns() + 1_000_000_000)
        return ingest_collection(
            self.engine,
            self.collection.name,
            "sample",
            load_calendar(),
            self.clock,
            self.settings,
            batch_size=size,
            **options,
        )

    def changes(self) -> list[tuple[str, str]]:
        with begin(self.engine) as connection:
            return connection.execute(
                "SELECT l.change, r.content ->> 'source_message_id' FROM raw.signal_log l"
                " JOIN raw.landed_rows r USING (record_id, content_hash) WHERE l.chain = %s ORDER BY l.seq",
                (f"mongo:{self.settings.mongo_database}.{self.collection.name}",),
            ).fetchall()

    def has_news(self) -> bool:
        database = self.settings.mongo_database
        with begin(self.engine) as connection:
            position = read_position(connection, f"mongo:{database}.{self.collection.name}")
        with CollectionReader(self.settings.mongo_dsn(), database, self.collection.name, 1) as reader:
            return reader.has_news(position)

    def broken(self) -> list[str]:
        with begin(self.engine) as connection:
            return [v.name for v in verify_all(connection, document_hash) if v.broken is not None]


@pytest.fixture
def source(settings: Settings, pg_url: str, mongo_url: str, mongo_database: str) -> Iterator[Source]:
    known = settings.model_copy(update={"mongo_database": mongo_database})
    engine = create_engine(pg_url, "test")
    with MongoClient(mongo_url) as client:
        # Ids of their own per test: what one landed is no news to the next.
        yield Source(engine, known, client[mongo_database][f"signals{next(_numbers)}"])
    engine.dispose()


def test_a_collection_is_read_once_and_then_followed(source: Source) -> None:
    source.collection.insert_many([document(n, source=source.collection.name) for n in range(5)])
    first = source.ingest(size=2)
    assert (first.rows_read, first.rows_accepted, first.batches) == (5, 5, 3)
    assert first.trade_dates == (date(2025, 6, 12),)
    assert source.ingest().batches == 0, "nothing happened since"
    source.collection.insert_one(document(7, source=source.collection.name))
    source.collection.update_one({"source_message_id": "M1"}, {"$set": {"stoploss": 98}})
    source.collection.delete_one({"source_message_id": "M2"})
    later = source.ingest()
    assert (later.rows_accepted, later.rows_revised, later.rows_deleted) == (1, 1, 1)
    assert source.changes() == [("POSTED", f"M{n}") for n in range(5)] + [
        ("POSTED", "M7"),
        ("EDITED", "M1"),
        ("DELETED", "M2"),
    ]
    assert source.broken() == []


def test_what_was_posted_and_taken_back_between_two_readings_is_seen(source: Source) -> None:
    source.collection.insert_one(document(1, source=source.collection.name))
    source.ingest()
    source.collection.insert_one(document(2, source=source.collection.name))
    source.collection.delete_one({"source_message_id": "M2"})
    summary = source.ingest()
    assert (summary.rows_accepted, summary.rows_deleted) == (1, 1)
    assert source.changes()[1:] == [("POSTED", "M2"), ("DELETED", "M2")]


def test_a_document_that_comes_back_is_restored(source: Source) -> None:
    one = document(1, source=source.collection.name) | {"_id": ObjectId()}
    source.collection.insert_one(one)
    source.ingest()
    source.collection.delete_one({"_id": one["_id"]})
    source.collection.insert_one(one)
    source.ingest()
    assert [change for change, _ in source.changes()] == ["POSTED", "DELETED", "RESTORED"]


def test_a_reading_cut_off_goes_on_where_it_was(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.collection.insert_many([document(n, source=source.collection.name) for n in range(6)])
    whole = CollectionReader.read_through

    def cut(self: CollectionReader, position: Any) -> Any:
        for number, batch in enumerate(whole(self, position)):
            if number == 2:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(CollectionReader, "read_through", cut)
        with pytest.raises(KeyboardInterrupt):
            source.ingest(size=2)
    assert len(source.changes()) == 4
    rest = source.ingest(size=2)
    assert (rest.rows_accepted, len(source.changes())) == (2, 6)
    assert rest.rows_read < 6, "what was taken is not read again, but for the one it starts from"


def lose_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server forget the place once."""
    real, lost = CollectionReader.changes, [True]

    def forgotten(self: CollectionReader, token: str) -> Any:
        if lost.pop() if lost else False:
            raise HistoryLost("286")
        yield from real(self, token)

    monkeypatch.setattr(CollectionReader, "changes", forgotten)


def test_a_lost_history_is_made_good_by_comparing(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.collection.insert_many([document(n, source=source.collection.name) for n in range(3)])
    source.ingest()
    source.collection.delete_one({"source_message_id": "M0"})
    source.collection.update_one({"source_message_id": "M1"}, {"$set": {"stoploss": 98}})
    lose_history(monkeypatch)
    summary = source.ingest()
    assert summary.history_lost
    assert (summary.rows_revised, summary.rows_deleted, summary.rows_duplicate) == (1, 1, 1)
    assert source.changes()[3:] == [("EDITED", "M1"), ("DELETED", "M0")]


KEYS: list[Any] = [
    ObjectId("65f000000000000000000001"),
    "65f000000000000000000001",  # the same to a person, another document to the server
    "plain",
    "with \\ \t \x00 \u20b9",
    "7",
    7,
    2**62,
    "9" * 30,
    2.5,
    Binary.from_uuid(UUID(int=5)),
    datetime(2025, 6, 12, 4, 30, 0, 5000, tzinfo=UTC),
    Decimal128("1.50"),
    {"day": datetime(2025, 6, 12, tzinfo=UTC), "no": 1},
    True,
]


def test_a_key_of_any_type_is_known_again(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    name = source.collection.name
    source.collection.insert_many([document(n, _id=key, source=name) for n, key in enumerate(KEYS)])
    assert source.ingest().rows_accepted == len(KEYS)
    lose_history(monkeypatch)
    compared = source.ingest()
    assert (compared.history_lost, compared.rows_deleted) == (True, 0)
    for key in KEYS[::2]:
        source.collection.delete_one({"_id": key})
    assert source.ingest().rows_deleted == len(KEYS[::2]), "seen by the change stream"
    lose_history(monkeypatch)
    for key in KEYS[1::2]:
        source.collection.delete_one({"_id": key})
    assert source.ingest().rows_deleted == len(KEYS[1::2]), "seen by comparing"
    assert source.broken() == []


@pytest.mark.parametrize("gone", [("M0", "M2"), ("M0", "M1", "M2")], ids=["some", "all"])
@pytest.mark.parametrize("crash", [1, 2, 3])
def test_a_comparison_cut_off_is_made_again(
    source: Source, monkeypatch: pytest.MonkeyPatch, gone: tuple[str, ...], crash: int
) -> None:
    source.collection.insert_many([document(n, source=source.collection.name) for n in range(3)])
    source.ingest()
    source.collection.delete_many({"source_message_id": {"$in": gone}})
    lose_history(monkeypatch)
    real, calls = CollectionReader.present, count(1)

    def dies(self: CollectionReader, keys: Any) -> set[str]:
        if next(calls) == crash:
            raise KeyboardInterrupt
        return real(self, keys)

    monkeypatch.setattr(CollectionReader, "present", dies)
    monkeypatch.setattr("adapters.uploads.collection._KEYS_AT_ONCE", 1)
    with pytest.raises(KeyboardInterrupt):
        source.ingest()
    assert source.has_news()
    source.ingest()
    assert sorted(source.changes()[3:]) == [("DELETED", name) for name in gone]
    assert not source.has_news()
    assert source.ingest().batches == 0


def test_rows_are_judged_as_those_of_a_file(source: Source) -> None:
    hostile: list[dict[str, Any]] = [
        document(1, source=source.collection.name, entry_low=float("nan")),
        document(2, source=source.collection.name, advisor_name="a\x00b"),
        document(3, source=source.collection.name, posted_at="soon"),
        document(4, source=source.collection.name, symbol={"a": 1}),
        document(5, source=source.collection.name, kind="NEWS"),
    ]
    source.collection.insert_many(hostile)
    summary = source.ingest()
    assert summary.rows_read == 5
    assert (summary.rows_accepted, summary.rows_quarantined) == (1, 4), "a bad price is refused by step 2"
    with begin(source.engine) as connection:
        reasons = connection.execute(
            "SELECT reason_codes[1] FROM raw.quarantine WHERE upload_id = %s ORDER BY row_number",
            (summary.upload_ids[0],),
        ).fetchall()
    assert [code for (code,) in reasons] == ["BAD_CHARACTER", "BAD_TIME", "MALFORMED_ROW", "BAD_KIND"]


def test_a_retried_document_is_still_watched(source: Source) -> None:
    ahead = datetime(2025, 7, 2, 10, 0, tzinfo=IST)
    for number in (1, 2):
        source.collection.insert_one(
            document(number, source=source.collection.name, posted_at=ahead, _id={"no": number})
        )
    refused = source.ingest()
    assert (refused.rows_quarantined, source.changes()) == (2, [])
    source.clock.advance_to(to_ns(datetime(2025, 7, 2, 11, 0, tzinfo=IST)))
    where = QuarantineFilter(upload_id=refused.upload_ids[0])
    done = retry_rows(source.engine, where, load_calendar(), source.clock, source.settings)
    assert done.landed == 2
    source.collection.delete_one({"_id": {"no": 1}})
    assert source.ingest().rows_deleted == 1
    assert source.changes() == [("POSTED", "M1"), ("POSTED", "M2"), ("DELETED", "M1")]
    assert source.broken() == []


def test_a_range_of_days_is_taken_without_moving_the_position(source: Source) -> None:
    source.collection.insert_many([document(n, source=source.collection.name) for n in range(2)])
    source.collection.insert_one(
        document(9, source=source.collection.name, posted_at="2025-06-13T10:00:00+05:30")
    )
    day = date(2025, 6, 12)
    assert source.ingest(days=(day, day)).rows_accepted == 2
    assert source.ingest(days=(day, day)).rows_accepted == 0
    followed = source.ingest()
    assert (followed.rows_accepted, followed.rows_duplicate) == (1, 2)


def test_a_document_that_a_file_brought_before_is_still_watched(source: Source) -> None:
    one = document(1, source=source.collection.name)
    source.collection.insert_one(one)
    other = source.collection.database[f"{source.collection.name}_copy"]
    other.insert_one(one)
    source.ingest()
    second = Source(source.engine, source.settings, other)
    assert second.ingest().rows_duplicate == 1
    other.delete_one({"_id": one["_id"]})
    assert second.ingest().rows_deleted == 1
    assert [change for change, _ in second.changes()] == ["POSTED", "DELETED"]
    assert [change for change, _ in source.changes()] == ["POSTED"]
