"""Signals of an invented morning, a landing in memory, and signed requests."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.mongo.batch import MongoUnreachable
from adapters.mongo.landing import Landed
from propdesk.core.calendar import ist_to_ns
from propdesk.core.clock import NS_PER_SECOND
from propdesk.intake.document import document_hash
from propdesk.intake.signature import sign
from trading_daemon.webhook import SIGNATURE_HEADER, SOURCE_HEADER, TIME_HEADER

KEY = "webhook-key-of-the-tests-0123456789"
NOW_NS = ist_to_ns(datetime(2025, 7, 1, 10, 0))  # noqa: DTZ001 - read as IST


def idea(number: int, **changes: Any) -> dict[str, Any]:
    """A signal that was posted a minute ago."""
    return {
        "kind": "SIGNAL",
        "source": "feed",
        "source_message_id": f"d{number}",
        "advisor_id": "A01",
        "advisor_name": "Test Advisor",
        "posted_at": "2025-07-01T09:59:00+05:30",
        "category": "NSE_EQ",
        "symbol": "TSTA",
        "side": "BUY",
        "entry_type": "LIMIT",
        "entry_low": f"{500 + number}.00",
        "stoploss": f"{490 + number}.00",
        "targets": f"{520 + number}.00",
        "period": "INTRADAY",
    } | changes


def signed(body: bytes, now_ns: int = NOW_NS, *, key: str = KEY, source: str = "feed") -> dict[str, str]:
    """Headers of a request."""
    sent = str(now_ns // NS_PER_SECOND)
    return {SOURCE_HEADER: source, TIME_HEADER: sent, SIGNATURE_HEADER: sign(key, sent, body)}


def body_of(*documents: Mapping[str, Any]) -> bytes:
    """Documents as a body: one by itself, several as a list."""
    return json.dumps(documents[0] if len(documents) == 1 else documents).encode()


class MemoryLanding:
    """A landing that can be away, before or after it took what it was given."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.doors: list[str] = []
        self.is_away = False
        self.loses_answer = False
        self.is_closed = False

    async def land(self, door: str, documents: Sequence[Mapping[str, object]]) -> list[Landed]:
        if self.is_away:
            raise MongoUnreachable("away")
        self.doors.append(door)
        found = []
        for document in documents:
            key = document_hash(document)
            found.append(Landed(key, key in self.documents))
            self.documents.setdefault(key, dict(document))
        if self.loses_answer:
            raise MongoUnreachable("the answer is lost")
        return found

    async def is_reachable(self) -> bool:
        return not self.is_away

    async def close(self) -> None:
        self.is_closed = True
