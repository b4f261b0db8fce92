import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn

from adapters.log import get_logger
from propdesk.core.clock import ManualClock
from runtime.ports import LOOPBACK
from tests.support.landing import KEY, NOW_NS, MemoryLanding, body_of, idea, signed
from trading_daemon import webhook_protocol
from trading_daemon.webhook import SERVER_OPTIONS, Webhook


@pytest.fixture
async def serve() -> AsyncIterator[Any]:
    """Serve the webhook on a port of this machine, as the process does but for the named options."""
    servers: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    async def start(**options: Any) -> int:
        webhook = Webhook(
            {"feed": (KEY,)},
            MemoryLanding(),
            ManualClock(NOW_NS),
            get_logger(),
            bytes_max=9_999,
            age_max_s=86_400,
        )
        listener = socket.create_server((LOOPBACK, 0))
        server = uvicorn.Server(uvicorn.Config(webhook.app(), **{**SERVER_OPTIONS, **options}))
        servers.append((server, asyncio.create_task(server.serve([listener]))))
        return int(listener.getsockname()[1])

    yield start
    for server, task in servers:
        server.should_exit = True
        await task


async def post(port: int, client: httpx.AsyncClient) -> int:
    body = body_of(idea(1))
    answer = await client.post(f"http://{LOOPBACK}:{port}/signals", content=body, headers=signed(body))
    return answer.status_code


@pytest.mark.parametrize("said", [b"", b"POST /signals HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half"])
async def test_idle_connections_take_nobodys_place(serve: Any, said: bytes) -> None:
    port = await serve(limit_concurrency=webhook_protocol.WAITING_MAX + 4)
    held = [await asyncio.open_connection(LOOPBACK, port) for _ in range(webhook_protocol.WAITING_MAX + 20)]
    for _, writer in held:
        writer.write(said)
    async with httpx.AsyncClient() as client:
        assert [await post(port, client) for _ in range(2)] == [200, 200]
    for _, writer in held:
        writer.close()


async def test_headers_that_drip_in_are_not_waited_for(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_protocol, "HEAD_S", 0.2)
    reader, writer = await asyncio.open_connection(LOOPBACK, await serve())

    async def drip() -> None:
        while True:
            writer.write(b"P")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(5):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    dripping.cancel()


async def test_beyond_the_limit_a_request_is_told_to_come_again(serve: Any) -> None:
    port = await serve(limit_concurrency=1)
    async with httpx.AsyncClient() as client:
        assert await post(port, client) == 503
    assert SERVER_OPTIONS["limit_concurrency"] > webhook_protocol.WAITING_MAX
    assert not SERVER_OPTIONS["proxy_headers"]
