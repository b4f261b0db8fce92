"""Rows land while they come: what lands is what one row after the other would give, whoever else is at it."""

import csv
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.calendar import load_calendar
from adapters.db.engine import begin, create_engine
from adapters.db.repos.signal_log import LogEntry, file_chain, lock_chain, log_deleted_keys
from adapters.settings import CLONE_ROOT
from adapters.uploads import UploadFault, UploadProgress, UploadSummary, ingest_documents, ingest_file
from adapters.uploads.ingest import Door as ByDoor
from propdesk.core.clock import from_ns
from propdesk.model.live import KeyedDocument
from tests.support.signal_door import Door, row

pytestmark = pytest.mark.integration

CHUNK = "adapters.uploads.ingest._CHUNK"
COUNTS = ("rows_read", "rows_accepted", "rows_duplicate", "rows_revised", "rows_quarantined")
LANDED = (
    "SELECT u.ingested_at, l.row_number, l.content ->> 'source_message_id', l.revision,"
    " l.content ->> 'stoploss' FROM raw.landed_rows AS l JOIN raw.uploads AS u USING (upload_id)"
    " ORDER BY 1, 2"
)
LOGGED = (
    "SELECT l.change, r.content ->> 'source_message_id', l.revision, r.content ->> 'stoploss', l.advisor_id"
    " FROM raw.signal_log AS l JOIN raw.landed_rows AS r USING (record_id, content_hash) ORDER BY l.seq"
)


def write(path: Path, rows: Sequence[dict[str, str]], quoting: Any = csv.QUOTE_MINIMAL) -> Path:
    path = path.with_suffix(".csv")
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(row(0)), quoting=quoting)
        writer.writeheader()
        writer.writerows(rows)
    return path


def take(door: Door, path: Path, **options: Any) -> UploadSummary:
    door.clock.advance_to(door.clock.now_ns() + 60_000_000_000)
    return ingest_file(door.engine, path, "sample", load_calendar(), door.clock, door.settings, **options)


def asked(door: Door, query: str) -> list[tuple[Any, ...]]:
    with begin(door.engine) as connection:
        return connection.execute(query).fetchall()


class Model:
    """The rules for one row after the other, in the plainest words there are."""

    def __init__(self) -> None:
        self.contents: dict[str, list[str]] = {}
        self.logged: list[tuple[Any, ...]] = []

    def land(self, rows: Sequence[dict[str, str]]) -> tuple[tuple[int, ...], list[tuple[Any, ...]]]:
        landed = []
        counts = [0, 0, 0, 0]
        for number, one in enumerate(rows, start=1):
            if one["posted_at"] == "soon":
                counts[3] += 1
                continue
            known = self.contents.setdefault(one["source_message_id"], [])
            if one["stoploss"] in known:
                counts[1] += 1
                continue
            known.append(one["stoploss"])
            counts[0 if len(known) == 1 else 2] += 1
            said = (one["source_message_id"], len(known), one["stoploss"])
            landed.append((number, *said))
            self.logged.append(("POSTED" if len(known) == 1 else "EDITED", *said, one["advisor_id"] or None))
        return (len(rows), *counts), landed


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_files_land_as_row_after_row_would(
    door: Door, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, chunk: int, quoting: Any
) -> None:
    """Repeats and revisions within a chunk, between chunks and between files; odd advisors, refused rows."""
    monkeypatch.setattr(CHUNK, chunk)
    model = Model()
    for _ in range(3):
        names = rng.integers(0, 12, 40).tolist()
        stops = rng.integers(60, 64, 40).tolist()
        rows = [
            row(
                name,
                stoploss=str(stop),
                advisor_id=("A1", "Größe", "")[name % 3],
                posted_at="soon" if stop == 63 and name < 4 else row(name)["posted_at"],
            )
            for name, stop in zip(names, stops, strict=True)
        ]
        before = len(asked(door, LANDED))
        summary = take(door, write(door.path, rows, quoting))
        counts, landed = model.land(rows)
        assert tuple(getattr(summary, name) for name in COUNTS) == counts
        assert [one[1:] for one in asked(door, LANDED)[before:]] == landed
    assert asked(door, LOGGED) == model.logged
    assert door.broken() == {}


def test_a_file_of_several_chunks_knows_what_its_first_one_brought(door: Door) -> None:
    rows = [row(number) for number in range(10_002)]
    told: list[UploadProgress] = []
    path = write(door.path, [*rows, row(1), row(2, stoploss="7"), row(2)])
    summary = take(door, path, progress=told.append)
    assert tuple(getattr(summary, name) for name in COUNTS) == (10_005, 10_002, 2, 1, 0)
    assert [one.rows_read for one in told] == [10_000, 10_005]
    assert asked(door, "SELECT max(seq), count(DISTINCT seq) FROM raw.signal_log") == [(10_003, 10_003)]
    assert door.broken() == {}
    assert take(door, path).rows_duplicate == 10_005


def test_a_file_that_ends_badly_leaves_nothing_of_its_first_chunks(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CHUNK, 5)
    path = write(door.path, [row(number) for number in range(30)])
    path.write_text(path.read_text(encoding="utf-8") + '"m1","unclosed', encoding="utf-8")
    told: list[UploadProgress] = []
    with pytest.raises(UploadFault, match="never closed"):
        take(door, path, progress=told.append)
    assert told, "chunks had landed before"
    for table in ("landed_rows", "signal_log", "quarantine"):
        assert asked(door, f"SELECT count(*) FROM raw.{table}") == [(0,)]
    assert asked(door, "SELECT status FROM raw.uploads") == [("FAILED",)]


def test_content_is_written_as_the_server_would_write_it(door: Door) -> None:
    odd = 'say "x" \\ \t é ₹ \u2028 \u00a0x'
    plain = write(door.path, [row(1), row(2, advisor_id="")])
    take(door, plain)
    take(door, write(door.path, [row(3, advisor_id=odd)]))
    assert asked(
        door, "SELECT count(*), bool_and(content::text = content::jsonb::text) FROM raw.landed_rows"
    ) == [(3, True)]
    assert asked(
        door, "SELECT content ->> 'advisor_id' FROM raw.landed_rows WHERE revision = 1 ORDER BY 1"
    ) == [
        ("A1",),
        (odd,),
        (None,),
    ]


# ------------------------------------------------------------------------------------------- side by side


class Held:
    """Documents of which all but the first wait for a word."""

    def __init__(self, rows: Sequence[dict[str, str]]) -> None:
        self.rows = rows
        self.go = threading.Event()

    def __iter__(self) -> Iterator[KeyedDocument]:
        for number, one in enumerate(self.rows):
            if number:
                assert self.go.wait(60)
            yield KeyedDocument(one, None)


def take_documents(door: Door, documents: Any, **options: Any) -> UploadSummary:
    return ingest_documents(
        door.engine,
        documents,
        "sample",
        load_calendar(),
        door.clock,
        door.settings,
        door=ByDoor(file_chain("sample")),
        **options,
    )


@contextmanager
def halfway(
    door: Door, rows: Sequence[dict[str, str]]
) -> Iterator[tuple[threading.Event, Future[UploadSummary]]]:
    """An upload whose first row has landed, and which goes on at a word."""
    held = Held(rows)
    landed = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            done = pool.submit(take_documents, door, held, progress=lambda _: landed.set())
            assert landed.wait(60)
            door.clock.advance_to(door.clock.now_ns() + 60_000_000_000)
            yield held.go, done
        finally:
            held.go.set()


def wait_until_it_waits(door: Door, upload: Future[UploadSummary]) -> None:
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not asked(door, query):
        assert not upload.done(), upload.exception() or upload.result()


@pytest.fixture
def one_row_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CHUNK, 1)


@pytest.mark.usefixtures("one_row_a_chunk")
@pytest.mark.parametrize(("stop", "counts"), [("91", (2, 1, 1, 0, 0)), ("80", (2, 1, 0, 1, 0))])
def test_of_two_uploads_the_later_waits_and_knows_what_the_first_brought(
    door: Door, stop: str, counts: tuple[int, ...]
) -> None:
    with halfway(door, [row(1), row(2)]) as (go, first), ThreadPoolExecutor(1) as pool:
        second = pool.submit(take, door, write(door.path, [row(1, stoploss=stop), row(3)]))
        wait_until_it_waits(door, second)
        go.set()
        assert first.result().rows_accepted == 2
        summary = second.result()
    assert tuple(getattr(summary, name) for name in COUNTS) == counts
    revisions = [one[2:] for one in asked(door, LANDED) if one[2] == "m1"]
    assert revisions == [("m1", 1, "91"), ("m1", 2, "80")][: 1 + counts[3]]
    assert door.broken() == {}


@pytest.mark.usefixtures("one_row_a_chunk")
def test_the_newest_upload_is_the_newest_revision_however_long_the_one_before_takes(door: Door) -> None:
    """A correction that comes while a long file is read corrects it, though the record stands at its end."""
    with halfway(door, [row(2), row(1)]) as (go, long_one), ThreadPoolExecutor(1) as pool:
        correction = pool.submit(take, door, write(door.path, [row(1, stoploss="80")]))
        wait_until_it_waits(door, correction)
        go.set()
        assert long_one.result().rows_accepted == 2
        assert correction.result().rows_revised == 1
    assert [one[2:] for one in asked(door, LANDED) if one[2] == "m1"] == [("m1", 1, "91"), ("m1", 2, "80")]
    assert [one[0] for one in asked(door, "SELECT logged_at FROM raw.signal_log ORDER BY seq")] == sorted(
        one[0] for one in asked(door, "SELECT logged_at FROM raw.signal_log")
    )
    assert door.broken() == {}


def test_what_was_taken_back_before_its_turn_is_back(door: Door) -> None:
    """Whether the chain ever lost anything is asked at the upload's turn, not while it waits for that."""
    take_documents(door, [KeyedDocument(row(1), "k1")])
    entry = LogEntry(file_chain("sample"), from_ns(door.clock.now_ns()), "a door")
    with ThreadPoolExecutor(1) as pool:
        with begin(door.engine) as connection:
            lock_chain(connection, entry.chain)
            waiting = pool.submit(take, door, write(door.path, [row(1), row(3)]))
            wait_until_it_waits(door, waiting)
            assert log_deleted_keys(connection, entry, ["k1"]) == 1
        assert waiting.result().rows_duplicate == 1
    assert [one[:2] for one in asked(door, LOGGED)] == [
        ("POSTED", "m1"),
        ("DELETED", "m1"),
        ("RESTORED", "m1"),
        ("POSTED", "m3"),
    ]
    assert door.broken() == {}


def test_who_waits_too_long_for_the_log_is_told_so(door: Door, pg_url: str) -> None:
    impatient = Door(create_engine(pg_url, "test", lock_timeout_s=1), door.settings, door.path.parent)
    with begin(door.engine) as connection:
        lock_chain(connection, file_chain("sample"))
        with pytest.raises(UploadFault, match="another upload has not ended yet; nothing was stored"):
            impatient.ingest([row(1)])
    assert asked(door, "SELECT status, rows_read FROM raw.uploads") == [("FAILED", 0)]
    assert asked(door, "SELECT count(*) FROM raw.landed_rows") == [(0,)]
    assert impatient.ingest([row(1)]).rows_accepted == 1
    impatient.engine.dispose()


# ------------------------------------------------------------------------------------------------- killed

KILLED = """
import sys
from pathlib import Path
from adapters.calendar import load_calendar
from adapters.db.engine import create_engine
from adapters.settings import Settings
from adapters.uploads import ingest, ingest_file
from propdesk.core.clock import ManualClock
ingest._CHUNK = 5
url, path, now = sys.argv[1:]
settings = Settings(_env_file=None, home=Path(path).parent, postgres_url=url)
def told(state):
    if state.rows_read == 10:
        print("halfway", flush=True)
        sys.stdin.read()
engine, clock = create_engine(url, "killed"), ManualClock(int(now))
ingest_file(engine, Path(path), "sample", load_calendar(), clock, settings, told)
"""


def test_a_process_killed_halfway_leaves_nothing_and_the_next_lands_all(door: Door, pg_url: str) -> None:
    path = write(door.path, [*(row(number) for number in range(20)), row(3), row(4, stoploss="7")])
    command = [sys.executable, "-c", KILLED, pg_url, str(path), str(door.clock.now_ns())]
    with subprocess.Popen(
        command, cwd=CLONE_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "halfway\n"
        process.send_signal(signal.SIGKILL)
    while asked(door, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'killed'"):
        pass
    for table in ("landed_rows", "signal_log", "quarantine", "uploads"):
        assert asked(door, f"SELECT count(*) FROM raw.{table}") == [(0,)]
    summary = take(door, path)
    assert tuple(getattr(summary, name) for name in COUNTS) == (22, 20, 1, 1, 0)
    assert door.broken() == {}
    assert replace(take(door, path), seconds=0.0).rows_duplicate == 22
