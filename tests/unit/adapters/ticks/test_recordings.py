import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from adapters.calendar import load_calendar
from adapters.ticks.file_reports import FileReport
from adapters.ticks.recorded_import import import_recording, new_recordings
from adapters.ticks.recordings import (
    AlreadyRecorded,
    Recorder,
    past_recordings,
    read_recording,
    recordings_folder,
)
from adapters.ticks.store import RECORDED, SOURCE, ParquetPriceStore, bars_table
from propdesk.core.calendar import Segment, ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND
from propdesk.core.errors import DataFault
from propdesk.intake.minutes import UNKNOWN, MinuteBook, MinuteSeen, PriceSeen, bars_of
from tests.support.full_disk import no_room

DAY = date(2025, 7, 1)
TOMORROW = DAY + timedelta(days=1)
CALENDAR = load_calendar()
OPEN_NS = CALENDAR.hours(DAY, Segment.CASH).open_ns
OPTION, SHARE = "INDEX_OPT:NIFTY:2025-07-03:2550000:CE", "NSE_EQ:TCS"

CHILD = """
import sys
from datetime import date
from pathlib import Path
from adapters.ticks.recordings import Recorder
from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, NS_PER_SECOND
from propdesk.intake.minutes import MinuteBook, PriceSeen

day, open_ns = date.fromisoformat(sys.argv[2]), int(sys.argv[3])
first_ns = ist_midnight_ns(day)
book = MinuteBook(first_ns, first_ns + NS_PER_DAY)
recorder = Recorder(Path(sys.argv[1]), day, "paper", "dhan")
book.restore(recorder.open())
for second in range(100_000):
    at_ns = open_ns + second * NS_PER_SECOND
    book.add(PriceSeen("NSE_EQ:TCS", at_ns, at_ns, 100 + second % 97, 10 * second, 99, 201))
    if second % 3 == 0:
        recorder.append(book.take_unwritten(), at_ns)
        print(second, flush=True)
        sys.stdin.readline()
"""


def seen(second: int) -> PriceSeen:
    """What the child above hears at that second."""
    at_ns = OPEN_NS + second * NS_PER_SECOND
    return PriceSeen(SHARE, at_ns, at_ns, 100 + second % 97, 10 * second, 99, 201)


def day_book() -> MinuteBook:
    first_ns = ist_midnight_ns(DAY)
    return MinuteBook(first_ns, first_ns + NS_PER_DAY)


def minute(place: int, price: int = 100, key: str = SHARE, **more: Any) -> MinuteSeen:
    """A minute that was watched whole; without a price it has a bid and an ask only."""
    start_ns = OPEN_NS + place * NS_PER_MINUTE
    given = {"bid_paise": 99, "ask_paise": 101, "volume_to": 10 * place, **more}
    return replace(MinuteSeen(key, start_ns, OPEN_NS, price, price, price, price), **given)


def record(folder: Path, minutes: Sequence[MinuteSeen], origin: str = "dhan", day: date = DAY) -> Path:
    recorder = Recorder(folder, day, folder.name, origin)
    recorder.open()
    recorder.append(minutes, ist_midnight_ns(day) + NS_PER_DAY - 1)
    recorder.close()
    return folder / f"{day}.recording"


class Killed:
    """A recorder in a process of its own that goes on by one write whenever it is told to."""

    def __init__(self, folder: Path) -> None:
        words = [sys.executable, "-c", CHILD, str(folder), str(DAY), str(OPEN_NS)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def write_until(self, second: int) -> int:
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        for line in self.process.stdout:
            if int(line) >= second:
                return int(line)
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        raise AssertionError("the recorder ended by itself")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


def test_a_killed_recorder_has_lost_nothing_that_it_wrote_and_the_next_doubles_nothing(
    tmp_path: Path,
) -> None:
    child = Killed(tmp_path)
    last = child.write_until(200)
    child.kill()
    book, recorder = day_book(), Recorder(tmp_path, DAY, "paper", "dhan")
    book.restore(recorder.open())
    heard = [*range(last + 1), *range(230, 400)]
    for second in heard[last + 1 :]:
        book.add(seen(second))
        if second % 3 == 0:
            recorder.append(book.take_unwritten(), OPEN_NS + second * NS_PER_SECOND)
    recorder.append(book.take_unwritten(), OPEN_NS + heard[-1] * NS_PER_SECOND)
    recorder.close()
    found, whole = read_recording(tmp_path / f"{DAY}.recording"), day_book()
    for second in heard:
        whole.add(seen(second))
    bars, expected = bars_of(found.minutes), whole.bars(SHARE)
    assert expected is not None
    assert found.unreadable == ()
    for name in ("start_ns", "open_paise", "high_paise", "low_paise", "close_paise"):
        assert getattr(bars, name).tolist() == getattr(expected, name).tolist()
    # killed at 3:21, taken up at 3:50, ended at 6:39: no whole minutes, and what they traded is not known
    assert [one.is_whole for one in found.minutes] == [True, True, True, False, True, True, False]
    assert bars.volume.tolist() == [UNKNOWN, 600, 600, UNKNOWN, UNKNOWN, 600, UNKNOWN]


def test_a_torn_line_is_cut_off_by_the_next_life(tmp_path: Path) -> None:
    path = record(tmp_path, [minute(0)])
    whole = path.read_bytes()
    path.write_bytes(whole + b'["NSE_EQ:TCS", 17' + b"5" * 200_000)
    assert read_recording(path).minutes == (minute(0),)
    recorder = Recorder(tmp_path, DAY, tmp_path.name, "dhan")
    assert recorder.open() == (minute(0),)
    recorder.append([minute(1)], None)
    recorder.close()
    assert path.read_bytes().startswith(whole + b'["NSE_EQ:TCS",')
    assert len(read_recording(path).minutes) == 2


def test_a_file_that_was_torn_in_its_first_line_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / f"{DAY}.recording").write_text('{"format"')
    assert read_recording(record(tmp_path, [minute(0)])).minutes == (minute(0),)


def test_the_minute_in_which_the_watch_ended_is_told_as_a_part(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, DAY, "paper", "dhan")
    recorder.open()
    recorder.append([minute(0), minute(1)], OPEN_NS + 90 * NS_PER_SECOND)
    recorder.close()
    found = read_recording(tmp_path / f"{DAY}.recording").minutes
    assert [one.is_whole for one in found] == [True, False]


def test_a_second_recorder_of_an_account_is_refused_and_another_account_is_not(tmp_path: Path) -> None:
    first, second = (recordings_folder(tmp_path, name) for name in ("one", "two"))
    recorder = Recorder(first, DAY, "one", "dhan")
    recorder.open()
    with pytest.raises(AlreadyRecorded, match=f"process {os.getpid()}"):
        Recorder(first, DAY, "one", "dhan").open()
    other = Recorder(second, DAY, "two", "dhan")
    other.open()
    recorder.append([minute(0)], None)
    recorder.close()
    again = Recorder(first, DAY, "one", "dhan")
    assert [one.start_ns for one in again.open()] == [OPEN_NS]
    again.close()
    other.close()


def test_a_write_for_which_there_is_no_room_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, DAY, "paper", "dhan")
    recorder.open()
    recorder.append([minute(0)], None)
    path = tmp_path / f"{DAY}.recording"
    before = path.read_bytes()
    with no_room(len(before) + 50), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        recorder.append([minute(1), minute(2)], None)
    assert path.read_bytes() == before
    recorder.append([minute(1), minute(2)], None)
    recorder.close()
    assert [one.start_ns for one in read_recording(path).minutes] == [
        OPEN_NS + place * NS_PER_MINUTE for place in range(3)
    ]


def test_a_log_that_was_removed_is_not_written_on(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, DAY, "paper", "dhan")
    recorder.open()
    (tmp_path / f"{DAY}.recording").unlink()
    with pytest.raises(FileNotFoundError, match="removed"):
        recorder.append([minute(0)], None)
    recorder.close()


def test_what_is_no_recording_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="cannot be read"):
        read_recording(tmp_path / f"{DAY}.recording")
    path = record(tmp_path, [minute(0)])
    later = path.with_name(f"{TOMORROW}.recording")
    later.write_bytes(path.read_bytes())
    with pytest.raises(DataFault, match="no recording of its day"):
        read_recording(later)
    with pytest.raises(DataFault, match="feed dhan"):
        Recorder(tmp_path, DAY, "paper", "sandbox").open()
    recorder = Recorder(tmp_path, DAY, "paper", "dhan")  # the refusal has left no lock
    recorder.open()
    recorder.close()


@pytest.mark.parametrize(
    "change",
    [
        {0: ""}, {0: 5}, {1: 1.5}, {1: True}, {1: OPEN_NS + 1}, {1: OPEN_NS + NS_PER_DAY}, {3: -5}, {4: 90},
        {5: 101}, {6: 10**12}, {7: -2}, {8: 0}, {9: -7}, {10: 1}, {2: 2**64},
    ],
)  # fmt: skip
def test_a_line_that_says_nothing_possible_is_set_aside(tmp_path: Path, change: dict[int, object]) -> None:
    path = record(tmp_path, [minute(0)])
    head, good, *rest = path.read_text().splitlines()
    row = json.loads(good)
    for place, value in change.items():
        row[place] = value
    bad = json.dumps(row)
    path.write_text("\n".join([head, good, bad, "[", "[1, 2]", *rest, ""]))
    found = read_recording(path)
    assert found.minutes == (minute(0),)
    assert found.unreadable == (bad, "[", "[1, 2]")


# ------------------------------------------------------------ into the store


def everything(store: ParquetPriceStore) -> dict[str, bytes]:
    root = Path(store.url)
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.parent.name != "locks"
    }


@pytest.fixture
def store(tmp_path: Path) -> ParquetPriceStore:
    return ParquetPriceStore(str(tmp_path / "prices"), CALENDAR)


def test_bars_and_quotes_reach_the_store_and_every_minute_is_counted(
    store: ParquetPriceStore, tmp_path: Path
) -> None:
    minutes = [
        minute(-20, volume_to=0),  # before the session
        minute(0), minute(1, 105), minute(2, 0),
        minute(3, bid_paise=UNKNOWN, ask_paise=UNKNOWN),
        minute(4, 0, bid_paise=UNKNOWN, ask_paise=UNKNOWN),
        minute(0, 7, OPTION, bid_paise=9, ask_paise=8),
    ]  # fmt: skip
    path = record(tmp_path / "paper", minutes)
    path.write_text(path.read_text() + "[\n")
    report = import_recording(store, path, CALENDAR, TOMORROW)
    assert (report.rows, report.accepted) == (8, 5)
    assert report.defects == {"OUT_OF_HOURS": 1, "UNTRADED": 1, "RAGGED": 1}
    assert report.notes == {"QUOTE_ONLY": 1, "CROSSED_QUOTE": 1}
    bars = store.minute_bars([SHARE, OPTION], DAY, DAY)
    assert bars[SHARE].close_paise.tolist() == [100, 105, 100]
    assert bars[SHARE].volume.tolist() == [UNKNOWN, 10, 20]
    assert bars[OPTION].close_paise.tolist() == [7]
    start, bid, ask = store.quotes([SHARE], DAY, DAY)[SHARE]
    assert ((start - OPEN_NS) // NS_PER_MINUTE).tolist() == [0, 1, 2]
    assert (bid.tolist(), ask.tolist()) == ([99] * 3, [101] * 3)
    assert store.day_coverage("minute", DAY).sources == {"RECORDED": 4}
    (told,) = store.imports()
    assert (told["layout"], told["rows"], told["accepted"]) == ("recording", 8, 5)


def test_the_same_recording_twice_changes_no_byte(store: ParquetPriceStore, tmp_path: Path) -> None:
    path = record(tmp_path / "paper", [minute(0), minute(1), minute(5, 0)])
    import_recording(store, path, CALENDAR, TOMORROW)
    once = everything(store)
    import_recording(store, path, CALENDAR, TOMORROW)
    assert everything(store) == once
    assert new_recordings(store, [path, path.with_name("other")]) == [path.with_name("other")]


@pytest.mark.parametrize("is_recorded_first", [True, False])
def test_a_better_source_counts_minute_by_minute(
    store: ParquetPriceStore, tmp_path: Path, is_recorded_first: bool
) -> None:
    path = record(tmp_path / "paper", [minute(place) for place in range(4)])
    better = bars_table([(SHARE, bars_of([minute(1, 500), minute(2, 500)]))])
    if is_recorded_first:
        import_recording(store, path, CALENDAR, TOMORROW)
    store.write_minutes(DAY, better)
    if not is_recorded_first:
        import_recording(store, path, CALENDAR, TOMORROW)
    assert store.minute_bars([SHARE], DAY, DAY)[SHARE].close_paise.tolist() == [100, 500, 500, 100]
    _, bid, _ = store.quotes([SHARE], DAY, DAY)[SHARE]
    assert bid.tolist() == [99] * 4


def test_two_accounts_that_saw_one_series_complete_each_other(
    store: ParquetPriceStore, tmp_path: Path
) -> None:
    late = MinuteSeen(SHARE, OPEN_NS, OPEN_NS + 1, 90, 90, 90, 90)
    reports: list[FileReport] = [
        import_recording(store, record(tmp_path / name, minutes), CALENDAR, TOMORROW)
        for name, minutes in (
            ("one", [late, minute(1)]),
            ("two", [minute(0, 105), minute(1, 106), minute(2)]),
        )
    ]
    assert reports[0].notes == {"PART_OF_MINUTE": 1}
    assert store.minute_bars([SHARE], DAY, DAY)[SHARE].close_paise.tolist() == [105, 100, 100]


@pytest.mark.parametrize("today", [DAY, DAY - timedelta(days=1)])
def test_a_day_that_is_not_over_is_refused_and_leaves_nothing(
    store: ParquetPriceStore, tmp_path: Path, today: date
) -> None:
    path = record(tmp_path / "paper", [minute(0)])
    with pytest.raises(DataFault, match="is not over"):
        import_recording(store, path, CALENDAR, today)
    assert store.days("minute") == []
    assert store.imports() == []


def test_prices_of_a_sandbox_are_taken_only_on_demand(store: ParquetPriceStore, tmp_path: Path) -> None:
    path = record(tmp_path / "paper", [minute(0)], "sandbox")
    with pytest.raises(DataFault, match="--sandbox"):
        import_recording(store, path, CALENDAR, TOMORROW)
    assert store.days("minute") == []
    assert import_recording(store, path, CALENDAR, TOMORROW, is_sandbox_taken=True).accepted == 1


def test_a_store_of_a_past_day_shows_no_later_recording(store: ParquetPriceStore, tmp_path: Path) -> None:
    import_recording(store, record(tmp_path / "paper", [minute(0)]), CALENDAR, TOMORROW)
    before = ParquetPriceStore(store.url, CALENDAR, until=DAY - timedelta(days=1))
    assert before.minute_bars([SHARE], DAY, DAY) == {}
    assert before.quotes([SHARE], DAY, DAY) == {}
    assert before.days("quote") == []


def test_recordings_of_past_days_are_found_by_day_and_account(tmp_path: Path) -> None:
    for name, day in (("two", DAY), ("one", DAY), ("one", TOMORROW)):
        record(recordings_folder(tmp_path, name), [], day=day)
    (recordings_folder(tmp_path, "one") / "notes.recording").write_text("")
    found = past_recordings(tmp_path, TOMORROW)
    assert [(path.parent.name, path.stem) for path in found] == [("one", str(DAY)), ("two", str(DAY))]
    assert past_recordings(tmp_path / "nowhere", TOMORROW) == []


def test_a_bar_of_a_recording_says_so_in_the_file(store: ParquetPriceStore, tmp_path: Path) -> None:
    import_recording(store, record(tmp_path / "paper", [minute(0)]), CALENDAR, TOMORROW)
    file = pq.read_table(Path(store.url) / "minute" / f"{DAY}.parquet")
    assert file[SOURCE].to_pylist() == [RECORDED]
