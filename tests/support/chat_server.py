"""A local server in the place of Telegram and WuzAPI: takes messages, or fails as it is told."""

import json
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TELEGRAM_OK = (200, {}, json.dumps({"ok": True, "result": {"message_id": 1}}))
WUZAPI_OK = (200, {}, json.dumps({"code": 200, "success": True, "data": {"Details": "Sent", "Id": "X"}}))
Reply = tuple[int, dict[str, str], str]


@dataclass
class Call:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class ChatServer:
    """What came, and what is answered next: replies in their order, then ``usual``."""

    url: str
    usual: Reply
    replies: deque[Reply | str] = field(default_factory=deque)
    calls: list[Call] = field(default_factory=list)
    arrived: "queue.Queue[Call]" = field(default_factory=queue.Queue)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def texts(self) -> list[str]:
        return [str(call.body.get("text", call.body.get("Body"))) for call in self.calls]

    def take(self, call: Call) -> Reply | str:
        self.calls.append(call)
        self.arrived.put(call)
        return self.replies.popleft() if self.replies else self.usual


def _handler(find: Callable[[], ChatServer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            call = Call(self.path, dict(self.headers), json.loads(self.rfile.read(length)))
            server = find()
            reply = server.take(call)
            if reply == "hang":
                server.over.wait(10)
                return
            assert isinstance(reply, tuple)
            status, headers, text = reply
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def chat_server(usual: Reply) -> Iterator[ChatServer]:
    """Serve on a free port until the end of the block."""
    found: list[ChatServer] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(lambda: found[0])) as httpd:
        httpd.daemon_threads = True
        httpd.block_on_close = False
        found.append(ChatServer(f"http://127.0.0.1:{httpd.server_address[1]}", usual))
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found[0]
        finally:
            found[0].over.set()
            httpd.shutdown()
            thread.join(10)
