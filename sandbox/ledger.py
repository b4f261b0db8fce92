"""Append-only truth: everything that happened at the simulated exchange, the oracle of every comparison."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class Entry:
    """One line; ``digest`` chains it to all lines before."""

    seq: int
    ts_ns: int
    what: str
    detail: dict[str, Any]
    digest: str


class TruthLedger:
    """Keeps entries in memory and, where a path is given, as JSON lines that are flushed one by one."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._digest = ""
        self._file: TextIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
        self.listeners: list[Callable[[Entry], None]] = []

    def add(self, ts_ns: int, what: str, **detail: Any) -> Entry:
        """Write one line; nothing ever changes or removes it."""
        plain = json.dumps([len(self._entries) + 1, ts_ns, what, detail], sort_keys=True)
        self._digest = hashlib.sha256(f"{self._digest}|{plain}".encode()).hexdigest()
        entry = Entry(len(self._entries) + 1, ts_ns, what, detail, self._digest)
        self._entries.append(entry)
        if self._file is not None:
            self._file.write(json.dumps(as_plain(entry), sort_keys=True) + "\n")
            self._file.flush()
        for listener in self.listeners:
            listener(entry)
        return entry

    @property
    def digest(self) -> str:
        """Hash over all lines: equal for equal histories."""
        return self._digest

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def of(self, what: str) -> list[Entry]:
        """Give the lines of one kind."""
        return [entry for entry in self._entries if entry.what == what]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def as_plain(entry: Entry) -> dict[str, Any]:
    """Give a line as JSON data."""
    return {
        "seq": entry.seq,
        "ts_ns": entry.ts_ns,
        "what": entry.what,
        "detail": entry.detail,
        "digest": entry.digest,
    }
