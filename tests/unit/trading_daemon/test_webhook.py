import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from adapters.log import get_logger
from propdesk.core.clock import NS_PER_SECOND, ManualClock
from propdesk.intake.document import document_to_record
from propdesk.model.signal import Followup, Signal
from tests.support.landing import KEY, NOW_NS, MemoryLanding, body_of, idea, signed
from trading_daemon.webhook import DOCUMENTS_MAX, Webhook, read_documents

BYTES_MAX = 200_000
OTHER = "another-key-of-the-tests-0123456789"


@pytest.fixture
def landing() -> MemoryLanding:
    return MemoryLanding()


@pytest.fixture
async def client(landing: MemoryLanding) -> AsyncIterator[httpx.AsyncClient]:
    keys = {"feed": (KEY, OTHER), "rival": ("r" * 32,)}
    webhook = Webhook(keys, landing, ManualClock(NOW_NS), get_logger(), bytes_max=BYTES_MAX, age_max_s=86_400)
    transport = httpx.ASGITransport(webhook.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as found:
        yield found


async def post(client: httpx.AsyncClient, body: bytes, **words: Any) -> httpx.Response:
    return await client.post("/signals", content=body, headers=signed(body, **words))


async def test_what_is_answered_with_200_lies_in_the_landing(
    client: httpx.AsyncClient, landing: MemoryLanding
) -> None:
    answer = await post(client, body_of(idea(1), idea(2)))
    assert answer.status_code == 200
    assert [one["id"] for one in answer.json()["documents"]] == list(landing.documents)
    assert [one["source_message_id"] for one in landing.documents.values()] == ["d1", "d2"]
    assert landing.doors == ["webhook:feed"]


async def test_a_document_sent_twice_is_a_repeat_however_it_is_signed(
    client: httpx.AsyncClient, landing: MemoryLanding
) -> None:
    first = await post(client, body_of(idea(1)))
    for now_ns, key in ((NOW_NS, KEY), (NOW_NS + 5 * NS_PER_SECOND, OTHER)):
        again = await post(client, body_of(idea(1)), now_ns=now_ns, key=key)
        assert again.json()["documents"] == [
            {"id": first.json()["documents"][0]["id"], "is_repeat": True, "problem": None}
        ]
    assert len(landing.documents) == 1


async def test_no_answer_is_good_before_everything_is_stored(
    client: httpx.AsyncClient, landing: MemoryLanding
) -> None:
    landing.is_away = True
    assert (await client.get("/ready")).status_code == 503
    refused = await post(client, body_of(idea(1)))
    assert refused.status_code == 503
    assert "Retry-After" in refused.headers
    landing.is_away, landing.loses_answer = False, True
    assert (await post(client, body_of(idea(1)))).status_code == 503
    landing.loses_answer = False
    assert (await post(client, body_of(idea(1)))).json()["documents"][0]["is_repeat"]
    assert len(landing.documents) == 1
    assert (await client.get("/ready")).status_code == 200


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({"key": "r" * 32}, 401),
        ({"source": "rival"}, 401),
        ({"source": "nobody"}, 401),
        ({"now_ns": NOW_NS - 121 * NS_PER_SECOND}, 401),
        ({"now_ns": NOW_NS + 121 * NS_PER_SECOND}, 401),
        ({"now_ns": NOW_NS - 120 * NS_PER_SECOND}, 200),
    ],
    ids=["anothers-key", "anothers-name", "unknown", "late", "early", "just-in-time"],
)
async def test_only_a_source_signs_for_itself_and_for_now(
    client: httpx.AsyncClient, landing: MemoryLanding, words: dict[str, Any], status: int
) -> None:
    answer = await post(client, body_of(idea(1)), **words)
    assert answer.status_code == status
    assert len(landing.documents) == (status == 200)
    assert KEY not in answer.text


async def test_without_headers_nothing_is_read(client: httpx.AsyncClient, landing: MemoryLanding) -> None:
    assert (await client.post("/signals", content=body_of(idea(1)))).status_code == 401
    assert not landing.documents


@pytest.mark.parametrize("is_stated", [True, False])
async def test_a_large_body_is_refused_whether_it_says_so_or_not(
    client: httpx.AsyncClient, landing: MemoryLanding, is_stated: bool
) -> None:
    body = body_of(idea(1, text="x" * BYTES_MAX))
    taken = 0

    async def blocks() -> AsyncIterator[bytes]:
        nonlocal taken
        for start in range(0, 100 * BYTES_MAX, 50_000):
            taken += 1
            yield body[start : start + 50_000] or b" " * 50_000

    content = body if is_stated else blocks()
    answer = await client.post("/signals", content=content, headers=signed(body))
    assert answer.status_code == 413
    assert not landing.documents
    assert is_stated or taken <= BYTES_MAX // 50_000 + 1, "the rest is not read"


async def test_a_body_that_drips_in_is_not_waited_for(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_daemon.webhook._BODY_S", 0.01)

    async def for_ever() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    body = body_of(idea(1))
    assert (await client.post("/signals", content=for_ever(), headers=signed(body))).status_code == 408


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"7",
        b'"text"',
        b'[{"a": 1}, 2]',
        b'{"entry_low": NaN}',
        b'{"entry_low": 1e400}',
        b'{"side": "BUY", "side": "SELL"}',
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"a": ' + b"[" * 9 + b"]" * 9 + b"}",
        b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        body_of(*[idea(1)] * (DOCUMENTS_MAX + 1)),
    ],
    ids=[
        "empty",
        "no-utf8",
        "none",
        "number",
        "text",
        "mixed",
        "nan",
        "infinite",
        "key-twice",
        "huge-number",
        "deep",
        "very-deep",
        "too-many",
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_whole(
    client: httpx.AsyncClient, landing: MemoryLanding, body: bytes
) -> None:
    answer = await post(client, body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert not landing.documents


async def test_an_idea_that_cannot_be_read_is_kept_and_its_sender_told(
    client: httpx.AsyncClient, landing: MemoryLanding
) -> None:
    answer = await post(client, body_of(idea(1, side="SIDEWAYS"), idea(2)))
    problems = [one["problem"] for one in answer.json()["documents"]]
    assert "side" in problems[0]
    assert problems[1] is None
    assert len(landing.documents) == 2


async def test_history_is_refused_but_a_late_follow_up_is_not(
    client: httpx.AsyncClient, landing: MemoryLanding
) -> None:
    old = {"posted_at": "2025-06-30T09:59:00+05:30"}
    answer = await post(client, body_of(idea(1), idea(2, **old)))
    assert answer.status_code == 422
    assert "Document 2" in answer.text
    assert not landing.documents
    exit_ = {
        "kind": "FOLLOWUP",
        "source": "feed",
        "source_message_id": "f1",
        "advisor_id": "A01",
        "refers_to": "d1",
        "followup_kind": "EXIT",
        **old,
    }
    assert (await post(client, body_of(exit_))).json()["documents"][0]["problem"] is None


async def test_a_key_speaks_for_its_own_source_alone(
    client: httpx.AsyncClient, landing: MemoryLanding
) -> None:
    await post(client, body_of(idea(1)))
    edit = idea(1, stoploss="1.00")
    exit_ = {
        **edit,
        "kind": "FOLLOWUP",
        "source_message_id": "f1",
        "refers_to": "d1",
        "followup_kind": "EXIT",
    }
    rival: dict[str, Any] = {"source": "rival", "key": "r" * 32}
    for foreign in (edit, exit_, {**exit_, "Source ": "feed"}, {**exit_, "source": {"a": "feed"}}):
        answer = await post(client, body_of(idea(2, source="rival"), foreign), **rival)
        assert (answer.status_code, "Document 2" in answer.text) == (403, True)
    assert len(landing.documents) == 1
    del exit_["source"]
    assert (await post(client, body_of(exit_), **rival)).status_code == 200
    records = [document_to_record(one, received_ns=NOW_NS) for one in landing.documents.values()]
    assert isinstance(records[0], Signal)
    assert isinstance(records[1], Followup)
    assert records[0].signal_id != records[1].signal_id, "an exit closes ideas of its own source"


@pytest.mark.parametrize("name", ["received_at", "receivedAt", "Received_At", "RECEIVED AT", "_id"])
@pytest.mark.parametrize("side", ["BUY", "SIDEWAYS"])
async def test_nobody_stamps_the_moment_of_receipt_but_the_receiver(
    client: httpx.AsyncClient, landing: MemoryLanding, name: str, side: str
) -> None:
    first = await post(client, body_of(idea(1, side=side)))
    own = await post(client, body_of(idea(1, side=side, **{name: "2025-06-01T10:00:00+05:30"})))
    assert own.json()["documents"][0]["is_repeat"]
    assert own.json()["documents"][0]["id"] == first.json()["documents"][0]["id"]
    (stored,) = landing.documents.values()
    assert name not in stored


def test_numbers_and_flat_lists_are_read_as_they_stand() -> None:
    assert read_documents(b'{"entry_low": 1.5, "targets": [1, 2]}') == [{"entry_low": 1.5, "targets": [1, 2]}]
