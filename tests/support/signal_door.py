"""Files of rows brought in by one door, and what the signal log says of them."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from adapters.calendar import load_calendar
from adapters.db.engine import begin
from adapters.db.repos.verify import Verdict, verify_all
from adapters.settings import Settings
from adapters.uploads import UploadSummary, ingest_file, load_profile
from propdesk.core.calendar import IST
from propdesk.core.clock import ManualClock, to_ns
from propdesk.intake import FullExport, SourceProfile
from propdesk.intake.document import document_hash

NOW = to_ns(datetime(2025, 7, 1, 8, 0, tzinfo=IST))


def row(number: int, **changes: str) -> dict[str, str]:
    base = {
        "kind": "SIGNAL",
        "source_message_id": f"m{number}",
        "advisor_id": "A1",
        "posted_at": f"2025-01-02T09:{20 + number % 40}:00+05:30",
        "category": "NSE_EQ",
        "symbol": "TCS",
        "side": "BUY",
        "entry_low": f"{100 + number}",
        "stoploss": f"{90 + number}",
        "targets": f"{110 + number}",
    }
    return base | changes


class Door:
    """One database, one clock, files of rows."""

    def __init__(self, engine: Engine, settings: Settings, folder: Path) -> None:
        self.engine = engine
        self.settings = settings
        self.path = folder / "f.jsonl"
        self.clock = ManualClock(NOW)

    def ingest(self, rows: list[dict[str, str]], profile: SourceProfile | str = "sample") -> UploadSummary:
        self.path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return self.take(profile)

    def take(self, profile: SourceProfile | str) -> UploadSummary:
        self.clock.advance_to(self.clock.now_ns() + 60_000_000_000)
        return ingest_file(self.engine, self.path, profile, load_calendar(), self.clock, self.settings)

    def full(self, scope: FullExport) -> SourceProfile:
        return replace(load_profile("sample"), full_export=scope)

    def changes(self) -> list[tuple[Any, ...]]:
        with begin(self.engine) as connection:
            return connection.execute(
                "SELECT l.change, r.content ->> 'source_message_id', l.revision FROM raw.signal_log l"
                " JOIN raw.landed_rows r USING (record_id, content_hash) ORDER BY l.chain, l.seq"
            ).fetchall()

    def verdicts(self, heads: dict[str, tuple[int, str]] | None = None) -> dict[str, Verdict]:
        with begin(self.engine) as connection:
            return {one.name: one for one in verify_all(connection, document_hash, heads)}

    def broken(self, heads: dict[str, tuple[int, str]] | None = None) -> dict[str, str]:
        found = self.verdicts(heads).values()
        return {one.name: f"{one.broken.row}: {one.broken.what}" for one in found if one.broken is not None}

    def tamper(self, *statements: str) -> None:
        """What only the owner of the tables can do, with the guard taken off."""
        with begin(self.engine) as connection:
            connection.execute("ALTER TABLE raw.signal_log DISABLE TRIGGER append_only")
            for statement in statements:
                connection.execute(statement)
            connection.execute("ALTER TABLE raw.signal_log ENABLE TRIGGER append_only")
