"""Senders against real local servers that fail, hang, limit and answer garbage."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.notify.guarded import ANSWER_BYTES_MAX, GuardedClient
from adapters.notify.sender import Delivered, Outcome, Refused, Sender, Undelivered
from adapters.notify.telegram import TelegramBot
from adapters.notify.wuzapi import WuzApi
from tests.support.chat_server import TELEGRAM_OK, WUZAPI_OK, ChatServer, Reply, chat_server

pytestmark = pytest.mark.integration

TOKEN = "123456:canary-of-telegram"
TIMEOUT_S = 0.3


@pytest.fixture
def telegram() -> Iterator[ChatServer]:
    with chat_server(TELEGRAM_OK) as server:
        yield server


@pytest.fixture
def wuzapi() -> Iterator[ChatServer]:
    with chat_server(WUZAPI_OK) as server:
        yield server


@pytest.fixture
async def bot(telegram: ChatServer) -> AsyncIterator[TelegramBot]:
    client = GuardedClient(telegram.url, timeout_s=TIMEOUT_S)
    yield TelegramBot(client, TOKEN)
    await client.close()


@pytest.fixture
async def whatsapp(wuzapi: ChatServer) -> AsyncIterator[WuzApi]:
    client = GuardedClient(wuzapi.url, timeout_s=TIMEOUT_S)
    yield WuzApi(client, "canary-of-wuzapi")
    await client.close()


async def send(sender: Sender, address: str = "42", text: str = "*hello* _you_") -> Outcome:
    return await sender.send(address, text, message_id="ABC", is_silent=True)


async def test_telegram_gets_plain_text_for_a_chat(bot: TelegramBot, telegram: ChatServer) -> None:
    assert await send(bot, "-10042") == Delivered()
    (call,) = telegram.calls
    assert call.path == f"/bot{TOKEN}/sendMessage"
    assert call.body == {
        "chat_id": -10042, "text": "*hello* _you_", "disable_notification": True,
        "link_preview_options": {"is_disabled": True},
    }  # fmt: skip


async def test_wuzapi_gets_text_without_marks_under_our_id(whatsapp: WuzApi, wuzapi: ChatServer) -> None:
    assert await send(whatsapp, "919812345678") == Delivered()
    (call,) = wuzapi.calls
    assert (call.path, call.headers["Token"]) == ("/chat/send/text", "canary-of-wuzapi")
    assert call.body == {"Phone": "919812345678", "Body": "∗hello∗ ＿you＿", "Id": "ABC"}


LIMITED = json.dumps({"ok": False, "description": "Too Many Requests", "parameters": {"retry_after": 7}})


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ((429, {}, LIMITED), Undelivered("HTTP 429: Too Many Requests", wait_s=7.0)),
        ((429, {"Retry-After": "9"}, "{}"), Undelivered("HTTP 429: no reason given", wait_s=9.0)),
        ((429, {"Retry-After": "9e99"}, "{}"), Undelivered("HTTP 429: no reason given", wait_s=3_600.0)),
        ((500, {}, "<html>"), Undelivered("HTTP 500: the answer is no JSON object")),
        ((503, {"Retry-After": "3"}, "{}"), Undelivered("HTTP 503: no reason given", wait_s=3.0)),
        ((200, {}, "<html>"), Undelivered("HTTP 200: the answer is no JSON object", is_unknown=True)),
        ((200, {}, "[" * 5_000), Undelivered("HTTP 200: the answer is no JSON object", is_unknown=True)),
        ((200, {}, '{"ok": true, "result": 5}'), Undelivered("the answer names no message", is_unknown=True)),
        ((302, {"Location": "http://127.0.0.1:1/"}, "{}"), Undelivered("HTTP 302: no reason given")),
        ((400, {}, '{"ok": false, "description": "chat not found"}'), Refused("HTTP 400: chat not found")),
        ((403, {}, '{"ok": false, "description": "bot was blocked"}'), Refused("HTTP 403: bot was blocked")),
        (
            (200, {}, "x" * (ANSWER_BYTES_MAX + 1)),
            Undelivered(f"127.0.0.1 answers more than {ANSWER_BYTES_MAX} bytes", is_unknown=True),
        ),
    ],
)
async def test_each_answer_is_read_for_what_it_proves(
    bot: TelegramBot, telegram: ChatServer, reply: Reply, expected: Outcome
) -> None:
    telegram.replies.append(reply)
    assert await send(bot) == expected
    assert len(telegram.calls) == 1


async def test_an_address_out_of_reach_is_passed_over_for_the_next_one(telegram: ChatServer) -> None:
    async def both(host: str, port: int) -> list[str]:
        return ["::1", "127.0.0.1"]  # nothing listens on the first

    client = GuardedClient(telegram.url.replace("127.0.0.1", "localhost"), resolve=both, timeout_s=2.0)
    assert await send(TelegramBot(client, TOKEN)) == Delivered()
    await client.close()
    assert len(telegram.calls) == 1


async def test_a_server_that_hangs_may_have_sent_and_one_that_is_gone_has_not(
    bot: TelegramBot, whatsapp: WuzApi, telegram: ChatServer, wuzapi: ChatServer
) -> None:
    telegram.replies.append("hang")
    hung = await send(bot)
    assert isinstance(hung, Undelivered)
    assert hung.is_unknown
    assert TOKEN not in hung.reason
    wuzapi.replies.append((200, {}, '{"code": 200, "success": false, "error": "no session"}'))
    assert await send(whatsapp) == Undelivered("HTTP 200: no session", is_unknown=True)
    with chat_server(TELEGRAM_OK) as closed:
        url = closed.url
    client = GuardedClient(url, timeout_s=TIMEOUT_S)
    gone = await send(WuzApi(client, "token"))
    await client.close()
    assert gone == Undelivered("127.0.0.1 cannot be reached (ConnectError)")
