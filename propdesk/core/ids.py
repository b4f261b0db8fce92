"""Ids that are pure functions of what they name."""

import base64
import hashlib
import uuid
from collections.abc import Iterable
from datetime import date

from propdesk.core.invariant import require
from propdesk.core.limits import CORRELATION_ID_LENGTH_MAX

_NAMESPACE = uuid.UUID("5f0c2a53-0c7e-5f1e-9a55-70726f706465")
_NAMESPACE_BYTES = _NAMESPACE.bytes
_BASE32_DAY = "0123456789ABCDEFGHIJKLMNOPQRSTUV"


def signal_id(source: str, source_message_id: str, ordinal: int) -> str:
    """Name a signal by where it came from (§1.1); the same input always gives the same id."""
    return uuid5_text(f"signal|{source}|{source_message_id}|{ordinal}")


def content_signal_id(source: str, canonical_content: str) -> str:
    """Name a signal by its content, for sources without message ids (§1.1)."""
    return uuid5_text(f"content|{source}|{canonical_content}")


def derived_id(kind: str, *parts: str | int) -> str:
    """Name anything else of ours (group, decision, follow-up …) by what makes it unique."""
    return uuid5_text("|".join([kind, *map(str, parts)]))


def uuid5_text(name: str) -> str:
    """Give ``str(uuid.uuid5(namespace, name))`` in a third of the time: one a row of every upload.

    Examples
    --------
    >>> uuid5_text("x") == str(uuid.uuid5(_NAMESPACE, "x"))
    True
    """
    digest = hashlib.sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def uuid5_digests(names: Iterable[bytes]) -> bytes:
    """Give what `uuid5_text` makes ids of for names in UTF-8, one after the other: 20 bytes each."""
    sha1, namespace = hashlib.sha1, _NAMESPACE_BYTES
    return b"".join([sha1(namespace + name, usedforsecurity=False).digest() for name in names])


def content_digests(canonical_contents: Iterable[bytes]) -> bytes:
    """Give what `content_hash` writes in hex for contents in UTF-8, one after the other: 32 bytes each."""
    sha256 = hashlib.sha256
    return b"".join([sha256(content).digest() for content in canonical_contents])


def content_hash(canonical_content: str) -> str:
    """Hash canonical content (hex sha-256), to tell a revision from a repeat."""
    return hashlib.sha256(canonical_content.encode("utf-8")).hexdigest()


def correlation_id(trade_date: date, group_id: str, leg: int, slice_number: int, generation: int) -> str:
    """Build the broker's correlation id of one order: 20 letters and digits, the same after a restart.

    Notes
    -----
    ``p`` + three characters of the trading date + 16 base-32 characters of a hash
    (reliability: write-ahead protocol).
    """
    days = (trade_date - date(2020, 1, 1)).days
    require(0 <= days < 32**3, "the trading date lies outside the range of correlation ids")
    day = _BASE32_DAY[days // 1024] + _BASE32_DAY[days // 32 % 32] + _BASE32_DAY[days % 32]
    digest = hashlib.sha256(f"{group_id}|{leg}|{slice_number}|{generation}".encode()).digest()
    text = "p" + day + base64.b32encode(digest[:10]).decode("ascii")
    require(len(text) <= CORRELATION_ID_LENGTH_MAX, "correlation id too long for the broker")
    return text


def is_ours(text: str) -> bool:
    """Whether an id at the broker has the shape of `correlation_id`: every other order is somebody else's.

    Examples
    --------
    >>> is_ours("pABCAAAAAAAAAAAAAAAA"), is_ours("web-17")
    (True, False)
    """
    return text.startswith("p") and len(text) == 20 and text.isalnum()


def guard_id(order: str, generation: int) -> str:
    """Give the correlation id of a plain order that guards a super order which lost its stop.

    The generation changes only when the earlier one is proved to be over.

    Examples
    --------
    >>> guard_id("pABCAAAAAAAAAAAAAAAA", 1)
    'pABCAAAAAAAAAAAAAAAAg1'
    """
    text = f"{order}g{generation}"
    require(len(text) <= CORRELATION_ID_LENGTH_MAX, "correlation id too long for the broker")
    return text


def split_guard_id(text: str) -> tuple[str, int]:
    """Give the order that a correlation id names and its guard's generation; 0 = it is no guard's.

    Examples
    --------
    >>> split_guard_id("pABCAAAAAAAAAAAAAAAAg12")
    ('pABCAAAAAAAAAAAAAAAA', 12)
    >>> split_guard_id("pABCAAAAAAAAAAAAAAAA")
    ('pABCAAAAAAAAAAAAAAAA', 0)
    """
    order, mark, generation = text.partition("g")
    if mark and generation.isascii() and generation.isdigit():
        return order, int(generation)
    return text, 0
