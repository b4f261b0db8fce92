"""Webhook and signal folder on real servers: one inbox path, nothing lost or doubled by a death."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client import CollectorRegistry
from pymongo import MongoClient
from pymongo.errors import BulkWriteError

from adapters.clock import SystemClock
from adapters.db.live import connect
from adapters.db.repos.inbox import InboxRepo
from adapters.log import get_logger
from adapters.mongo import landing as landing_module
from adapters.mongo.batch import MongoUnreachable
from adapters.mongo.landing import DocumentFault, SignalLanding
from adapters.mongo.source import MongoSignalSource
from adapters.settings import CLONE_ROOT, Settings
from adapters.uploads.limits import UploadLimits
from propdesk.core.clock import NS_PER_SECOND, ManualClock, from_ns
from runtime.ports import LOOPBACK
from tests.support.landing import KEY, NOW_NS, body_of, idea, signed
from trading_daemon.metrics import Laps
from trading_daemon.signal_folder import SignalFolder
from trading_daemon.tasks.signal_listener import SignalListener

pytestmark = pytest.mark.integration

Documents = list[dict[str, Any]]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def desk(settings: Settings, mongo_database: str) -> Settings:
    return settings.model_copy(update={"mongo_database": mongo_database, "account_id": "doors"})


def stored(desk: Settings) -> Documents:
    with MongoClient(desk.mongo_dsn()) as client:
        return list(client[desk.mongo_database][desk.mongo_collection].find().sort("_id", 1))


def landing_of(desk: Settings, clock: Any) -> SignalLanding:
    return SignalLanding(desk.mongo_dsn(), desk.mongo_database, desk.mongo_collection, clock)


async def test_a_document_lies_there_once_in_the_order_of_receipt_whoever_brings_it(desk: Settings) -> None:
    clock = ManualClock(NOW_NS)
    one, other = landing_of(desk, clock), landing_of(desk, clock)
    first = await one.land("webhook:feed", [idea(2), idea(1), idea(2, received_at="x", _id="own")])
    assert [found.is_repeat for found in first] == [False, False, False]
    assert first[0].document_id == first[2].document_id
    clock.advance_to(NOW_NS + NS_PER_SECOND)
    again = await other.land("folder:sample", [idea(1), idea(1, stoploss="480.00"), idea(2)])
    assert [found.is_repeat for found in again] == [True, False, True]
    await one.close()
    await other.close()
    found = stored(desk)
    assert [(row["source_message_id"], row["stoploss"]) for row in found] == [
        ("d2", "492.00"),
        ("d1", "491.00"),
        ("d1", "480.00"),
    ], "a later version comes later when the collection is read through"
    assert found[0]["received_at"] == from_ns(NOW_NS).isoformat()
    assert found[2]["received_at"] == from_ns(NOW_NS + NS_PER_SECOND).isoformat()


async def test_many_who_bring_the_same_at_once_bring_it_once(desk: Settings) -> None:
    doors = [landing_of(desk, SystemClock()) for _ in range(4)]
    documents = [idea(number) for number in range(20)]

    async def bring(door: SignalLanding) -> int:
        while True:
            with contextlib.suppress(MongoUnreachable):
                return sum(not one.is_repeat for one in await door.land("webhook:feed", documents))

    new = await asyncio.gather(*map(bring, doors))
    for door in doors:
        await door.close()
    assert [row["source_message_id"] for row in stored(desk)] == [f"d{number}" for number in range(20)]
    assert sum(new) == 20


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", [0, 1], ids=["receipts", "documents"])
async def test_who_dies_between_two_writes_is_made_whole_by_the_same_again(
    desk: Settings, monkeypatch: pytest.MonkeyPatch, call: int, when: str
) -> None:
    class Killed(BaseException):
        pass

    real, calls = landing_module._insert_new, 0

    async def dying(*words: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == call + 1 and when == "before":
            raise Killed
        count = await real(*words)
        if calls == call + 1:
            raise Killed
        return count

    door = landing_of(desk, SystemClock())
    monkeypatch.setattr(landing_module, "_insert_new", dying)
    with pytest.raises(Killed):
        await door.land("webhook:feed", [idea(1), idea(2)])
    monkeypatch.setattr(landing_module, "_insert_new", real)
    found = await door.land("webhook:feed", [idea(1), idea(2)])
    await door.close()
    assert [row["_id"] for row in stored(desk)] == [one.document_id for one in found]
    assert all(one.is_repeat for one in found) == (call == 1 and when == "after")


@pytest.mark.parametrize(
    "bad",
    [{"$set": 1}, {"a.b": 1}, {"x": [{"$ref": 5}]}, {"": 1}, {"n": 1 << 64}, {"t": "\ud800"}, {"k\0": 1}],
)
async def test_what_cannot_be_stored_is_refused_and_nothing_with_it(
    desk: Settings, bad: dict[str, object]
) -> None:
    door = landing_of(desk, SystemClock())
    with pytest.raises(DocumentFault, match="Document 2"):
        await door.land("webhook:feed", [idea(1), bad])
    await door.close()
    assert stored(desk) == []


async def test_a_write_that_is_not_confirmed_is_no_success(
    desk: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = landing_of(desk, SystemClock())

    async def unconfirmed(*_: Any, **__: Any) -> None:
        concern = {"code": 64, "errmsg": "waiting for replication timed out"}
        raise BulkWriteError({"nInserted": 1, "writeErrors": [], "writeConcernErrors": [concern]})

    monkeypatch.setattr("pymongo.asynchronous.collection.AsyncCollection.insert_many", unconfirmed)
    with pytest.raises(MongoUnreachable):
        await door.land("webhook:feed", [idea(1)])
    await door.close()


async def test_a_server_that_is_away_is_said_to_be_away(
    desk: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing_module, "_WAIT_MS", 50)
    url = f"mongodb://{LOOPBACK}:{free_port()}"
    door = SignalLanding(url, "none", "none", SystemClock())
    with pytest.raises(MongoUnreachable, match="does not answer"):
        await door.land("webhook:feed", [idea(1)])
    assert not await door.is_reachable()
    await door.close()


async def hear(desk: Settings, count: int) -> list[str]:
    """Listen as the daemon does until so many documents are in the inbox; gives their message ids."""
    connection = await connect(desk.database_url("daemon"), "tests-listener")
    source = MongoSignalSource(desk.mongo_dsn(), desk.mongo_database, desk.mongo_collection, get_logger())
    heard: list[str] = []
    enough = asyncio.Event()

    async def deliver(row: Any) -> None:
        heard.append(row.document["source_message_id"])
        if len(heard) >= count:
            enough.set()

    inbox = InboxRepo(connection, desk.account_id)
    listener = SignalListener(source, inbox, SystemClock(), deliver, get_logger(), Laps(CollectorRegistry()))
    task = asyncio.create_task(listener.run())
    async with connection:
        try:
            await asyncio.wait_for(enough.wait(), 30)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return heard


Start = Callable[[int], "subprocess.Popen[bytes]"]


@pytest.fixture
def webhook(desk: Settings, tmp_path: Path) -> Iterator[Start]:
    """Start the webhook as a real process on the test's servers."""
    running: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "webhook.log").open("ab")

    def start(port: int) -> "subprocess.Popen[bytes]":
        env = {
            **os.environ,
            "PROPDESK_HOME": str(desk.home),
            "PROPDESK_MONGO_URL": desk.mongo_dsn(),
            "PROPDESK_MONGO_DATABASE": desk.mongo_database,
            "PROPDESK_WEBHOOK_KEYS": f'{{"feed": ["{KEY}"]}}',
        }
        words = [sys.executable, "-m", "cli", "doors", "webhook", "--port", str(port)]
        running.append(subprocess.Popen(words, cwd=CLONE_ROOT, env=env, stdout=log, stderr=log))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()
    log.close()


async def send(client: httpx.AsyncClient, document: dict[str, Any]) -> int:
    """Send as a source does: the same again until it is answered well. Gives how often it was sent."""
    body = body_of(document)
    for attempt in range(1, 3_000):
        with contextlib.suppress(httpx.HTTPError):
            headers = signed(body, SystemClock().now_ns())
            if (await client.post("/signals", content=body, headers=headers)).status_code == 200:
                return attempt
        await asyncio.sleep(0.02)
    raise AssertionError("never answered")


async def test_killed_under_load_the_doors_lose_and_double_nothing_in_the_inbox(
    desk: Settings, webhook: Start, connection: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    posted = from_ns(SystemClock().now_ns()).isoformat(timespec="seconds")
    ideas = [idea(number, posted_at=posted) for number in range(40)]
    files = [idea(number, posted_at=posted) for number in range(35, 60)]
    desk.signal_dir.mkdir(parents=True)
    rows = [",".join(files[0]), *(",".join(one.values()) for one in files)]
    (desk.signal_dir / "day.csv").write_text("\n".join(rows) + "\n")
    port = free_port()
    process = webhook(port)
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=5) as client:
        for document in ideas[:10]:
            await send(client, document)
        under_way = [asyncio.create_task(send(client, document)) for document in ideas[10:]]
        await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(stored(desk)) < 40, "it died with requests under way"
        webhook(port)
        attempts = await asyncio.gather(*under_way)
    assert max(attempts) > 1
    door = landing_of(desk, SystemClock())
    limits = UploadLimits.for_http(desk)
    folder = SignalFolder(
        desk.signal_dir, door, SystemClock(), get_logger(), limits, age_max_s=desk.door_age_max_s
    )
    for _ in range(2):
        await folder.look()
    await door.close()
    heard = await hear(desk, 60)
    expected = sorted(f"d{number}" for number in range(60))
    assert sorted(heard) == expected
    assert sorted(row["source_message_id"] for row in stored(desk)) == expected
    assert connection.execute(
        "SELECT count(*), count(DISTINCT source_key), max(revision) FROM trading.inbox WHERE account_id = %s",
        (desk.account_id,),
    ).fetchone() == (60, 60, 1)
