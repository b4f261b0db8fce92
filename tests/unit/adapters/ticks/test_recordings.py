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
    split_recordings,
)
from adapters.ticks.store import KINDS, ParquetPriceStore, bars_table
from propdesk.core.calendar import Segment
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND
from propdesk.core.errors import DataFault
from propdesk.intake.minutes import UNKNOWN, MinuteBook, MinuteSeen, PriceSeen, bars_of
from tests.support.full_disk import no_room

DAY = date(2025, 7, 1)
TOMORROW = DAY + timedelta(days=1)
CALENDAR = load_calendar()
HOURS = CALENDAR.hours(DAY, Segment.CASH)
OPEN_NS, CLOSE_NS = HOURS.open_ns, HOURS.close_ns
WHOLE = (OPEN_NS - NS_PER_MINUTE, CLOSE_NS)
OPTION, SHARE = "INDEX_OPT:NIFTY:2025-07-03:2550000:CE", "NSE_EQ:TCS"

CHILD = """
import sys
from datetime import date
from pathlib import Path
from adapters.ticks.recordings import Recorder
from propdesk.core.clock import NS_PER_HOUR, NS_PER_SECOND
from propdesk.intake.minutes import MinuteBook, PriceSeen

day, open_ns = date.fromisoformat(sys.argv[2]), int(sys.argv[3])
book = MinuteBook(lambda _key: ((open_ns, open_ns + 6 * NS_PER_HOUR),))
recorder = Recorder(Path(sys.argv[1]), day, "paper", "dhan")
book.restore(recorder.open())
for second in range(100_000):
    at_ns = open_ns + second * NS_PER_SECOND
    book.add(PriceSeen("NSE_EQ:TCS", at_ns, at_ns, 100 + second % 97, 10 * second, 99, 201))
    if second % 3 == 0:
        recorder.append(book.take_unwritten(), book.watch)
        print(second, flush=True)
        sys.stdin.readline()
"""


def seen(second: int) -> PriceSeen:
    """What the child above hears at that second."""
    at_ns = OPEN_NS + second * NS_PER_SECOND
    return PriceSeen(SHARE, at_ns, at_ns, 100 + second % 97, 10 * second, 99, 201)


def day_book() -> MinuteBook:
    return MinuteBook(lambda _key: HOURS.parts)


def minute(place: int, price: int = 100, key: str = SHARE, **more: Any) -> MinuteSeen:
    """A minute that was watched whole; without a price it has a bid and an ask only."""
    start_ns = OPEN_NS + place * NS_PER_MINUTE
    given = {"bid_paise": 99, "ask_paise": 101, "volume_to": 10 * place, **more}
    return replace(MinuteSeen(key, start_ns, WHOLE[0], price, price, price, price), **given)


def record(
    folder: Path,
    minutes: Sequence[MinuteSeen],
    origin: str = "dhan",
    day: date = DAY,
    watches: Sequence[tuple[int, int]] = (WHOLE,),
) -> Path:
    """Record minutes of a feed that was heard for the whole session, or from when to when is given."""
    recorder = Recorder(folder, day, folder.name, origin)
    recorder.open()
    recorder.append(minutes, None)
    for watch in watches:
        recorder.append([], watch)
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
            recorder.append(book.take_unwritten(), book.watch)
    recorder.append(book.take_unwritten(), book.watch)
    recorder.close()
    found, whole = read_recording(tmp_path / f"{DAY}.recording"), day_book()
    for second in heard:
        whole.add(seen(second))
    bars, expected = bars_of(found.minutes), whole.bars(SHARE)
    assert expected is not None
    assert found.unreadable == ()
    assert found.watches == tuple(
        (OPEN_NS + first * NS_PER_SECOND, OPEN_NS + until * NS_PER_SECOND)
        for first, until in ((0, last), (230, 399))
    )
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
    recorder.append([minute(0), minute(1)], (OPEN_NS, OPEN_NS + 90 * NS_PER_SECOND))
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
    odd = ["[", "[1]", "[1, true]", f"[{CLOSE_NS}, {OPEN_NS}]"]
    path.write_text("\n".join([head, good, bad, *odd, *rest, ""]))
    found = read_recording(path)
    assert found.minutes == (minute(0),)
    assert found.unreadable == (bad, *odd)
    assert found.watches == (WHOLE,)


@pytest.mark.parametrize("written", ["", '{"format":1,"day"'])
def test_a_recorder_that_died_before_it_wrote_a_line_has_recorded_nothing(
    store: ParquetPriceStore, tmp_path: Path, written: str
) -> None:
    path = tmp_path / f"{DAY}.recording"
    path.write_text(written)
    assert read_recording(path).minutes == ()
    assert import_recording(store, path, CALENDAR, TOMORROW).rows == 0
    assert new_recordings(store, [path]) == []


def test_of_many_states_of_a_minute_only_the_newest_is_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [minute(place, 100 + more) for more in range(12) for place in range(3)]
    path = record(tmp_path, states, watches=[WHOLE, (WHOLE[0], CLOSE_NS + 1)])
    parsed: list[str] = []

    def read(text: str) -> Any:
        parsed.append(text)
        return json.loads(text)

    monkeypatch.setattr("adapters.ticks.recordings._json", read)
    found = read_recording(path)
    assert [one.close_paise for one in found.minutes] == [111] * 3
    assert found.watches == ((WHOLE[0], CLOSE_NS + 1),)
    assert len(parsed) == 1 + 3 + 1


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
        minute(0, volume_to=7), minute(1, 105), minute(2, 0),
        minute(3, bid_paise=UNKNOWN, ask_paise=UNKNOWN),
        minute(4, 0, bid_paise=UNKNOWN, ask_paise=UNKNOWN),
        minute(0, 7, OPTION, bid_paise=9, ask_paise=8, since_ns=OPEN_NS + 1),  # its watch began too late
    ]  # fmt: skip
    path = record(tmp_path / "paper", minutes)
    report = import_recording(store, path, CALENDAR, TOMORROW)
    assert (report.rows, report.accepted) == (7, 5)
    assert report.defects == {"OUT_OF_HOURS": 1, "UNTRADED": 1}
    assert report.notes == {"QUOTE_ONLY": 1, "CROSSED_QUOTE": 1, "PART_OF_SESSION": 1, "PART_OF_MINUTE": 1}
    bars = store.minute_bars([SHARE, OPTION], DAY, DAY)
    assert list(bars) == [SHARE]
    assert bars[SHARE].close_paise.tolist() == [100, 105, 100]
    assert bars[SHARE].volume.tolist() == [UNKNOWN, 3, 20]  # the first may hold the auction's
    start, bid, ask = store.quotes([SHARE], DAY, DAY)[SHARE]
    assert ((start - OPEN_NS) // NS_PER_MINUTE).tolist() == [0, 1, 2]
    assert (bid.tolist(), ask.tolist()) == ([99] * 3, [101] * 3)
    assert store.symbols("recorded", DAY) == [SHARE]
    assert store.symbols("recorded_in_part", DAY) == [OPTION]
    assert store.days("minute") == []
    (told,) = store.imports()
    assert (told["layout"], told["rows"], told["accepted"]) == ("recording", 7, 5)


def test_the_same_recording_twice_changes_no_byte(store: ParquetPriceStore, tmp_path: Path) -> None:
    path = record(tmp_path / "paper", [minute(0), minute(1), minute(5, 0)])
    import_recording(store, path, CALENDAR, TOMORROW)
    once = everything(store)
    import_recording(store, path, CALENDAR, TOMORROW)
    assert everything(store) == once
    assert new_recordings(store, [path, path.with_name("other")]) == [path.with_name("other")]


@pytest.mark.parametrize("is_recorded_first", [True, False])
def test_of_a_series_and_day_that_was_imported_no_recorded_minute_counts(
    store: ParquetPriceStore, tmp_path: Path, is_recorded_first: bool
) -> None:
    path = record(tmp_path / "paper", [minute(place) for place in range(4)])
    better = bars_table([(SHARE, bars_of([minute(1, 500), minute(2, 500)]))])
    if is_recorded_first:
        import_recording(store, path, CALENDAR, TOMORROW)
    store.write_minutes(DAY, better)
    if not is_recorded_first:
        import_recording(store, path, CALENDAR, TOMORROW)
    assert store.minute_bars([SHARE], DAY, DAY)[SHARE].close_paise.tolist() == [500, 500]
    _, bid, _ = store.quotes([SHARE], DAY, DAY)[SHARE]
    assert bid.tolist() == [99] * 4


SECOND = NS_PER_SECOND


@pytest.mark.parametrize(
    ("watches", "is_whole"),
    [
        ([WHOLE], True),
        ([(WHOLE[0], CLOSE_NS - 15 * SECOND)], True),  # nothing needs to be told in the last seconds
        ([(WHOLE[0], CLOSE_NS - 16 * SECOND)], False),
        ([(WHOLE[0], OPEN_NS + 60 * SECOND), (OPEN_NS + 61 * SECOND, CLOSE_NS)], False),
        ([(OPEN_NS + 1, CLOSE_NS)], False),
        ([], False),
    ],
)
def test_a_series_is_prices_only_if_its_whole_session_was_watched(
    store: ParquetPriceStore, tmp_path: Path, watches: list[tuple[int, int]], is_whole: bool
) -> None:
    path = record(tmp_path / "paper", [minute(0), minute(374)], watches=watches)
    import_recording(store, path, CALENDAR, TOMORROW)
    assert (SHARE in store.minute_bars([SHARE], DAY, DAY)) is is_whole
    assert (store.symbols("recorded_in_part", DAY) == [SHARE]) is not is_whole
    assert store.days("quote") == [DAY]


def test_a_line_that_cannot_be_read_leaves_no_series_whole(store: ParquetPriceStore, tmp_path: Path) -> None:
    path = record(tmp_path / "paper", [minute(0)])
    path.write_text(path.read_text() + "[\n")
    report = import_recording(store, path, CALENDAR, TOMORROW)
    assert report.defects == {"RAGGED": 1}
    assert store.minute_bars([SHARE], DAY, DAY) == {}
    assert store.symbols("recorded_in_part", DAY) == [SHARE]


def test_a_day_of_two_parts_is_whole_if_each_was_watched(store: ParquetPriceStore, tmp_path: Path) -> None:
    drill = date(2024, 3, 2)
    (first, until), (again, close) = CALENDAR.hours(drill, Segment.CASH).parts
    seen = [MinuteSeen(SHARE, start, start - 5, 9, 9, 9, 9) for start in (first, again)]
    watches = [(first - 5, until), (again - 5, close)]
    for place, told in enumerate([watches, watches[1:]]):
        path = record(tmp_path / str(place), seen, day=drill, watches=told)
        report = import_recording(store, path, CALENDAR, TOMORROW)
        assert report.notes == ({"PART_OF_SESSION": 2} if place else {})


def test_of_two_accounts_the_one_that_watched_the_whole_session_counts(
    store: ParquetPriceStore, tmp_path: Path
) -> None:
    late = minute(0, 90, since_ns=OPEN_NS + 1)
    reports: list[FileReport] = [
        import_recording(store, record(tmp_path / name, minutes, watches=watches), CALENDAR, TOMORROW)
        for name, minutes, watches in (
            ("one", [late, minute(1)], [(OPEN_NS + 1, CLOSE_NS)]),
            ("two", [minute(0, 105), minute(1, 106), minute(2)], [WHOLE]),
        )
    ]
    assert reports[0].notes == {"PART_OF_MINUTE": 1, "PART_OF_SESSION": 2}
    assert store.minute_bars([SHARE], DAY, DAY)[SHARE].close_paise.tolist() == [105, 106, 100]


@pytest.mark.parametrize("today", [DAY, DAY - timedelta(days=1)])
def test_a_day_that_is_not_over_is_refused_and_leaves_nothing(
    store: ParquetPriceStore, tmp_path: Path, today: date
) -> None:
    path = record(tmp_path / "paper", [minute(0)])
    with pytest.raises(DataFault, match="is not over"):
        import_recording(store, path, CALENDAR, today)
    assert [store.days(kind) for kind in KINDS] == [[] for _ in KINDS]
    assert store.imports() == []


def test_prices_of_a_sandbox_are_taken_only_on_demand(
    store: ParquetPriceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path / "paper", [minute(0)], "sandbox")
    with monkeypatch.context() as patched:
        patched.delattr("adapters.ticks.recorded_import.read_recording")  # every morning anew: not even read
        with pytest.raises(DataFault, match="--sandbox"):
            import_recording(store, path, CALENDAR, TOMORROW)
    assert store.days("quote") == []
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


def test_recordings_are_told_from_other_files_and_found_in_folders(tmp_path: Path) -> None:
    only = record(recordings_folder(tmp_path / "home", "one"), [])
    mixed = record(tmp_path / "mixed", [])
    (tmp_path / "mixed" / "bars.csv").write_text("symbol,Date\n")
    (tmp_path / "other").mkdir()
    named = [tmp_path / "home", tmp_path / "mixed", tmp_path / "other", tmp_path / "bars.csv", only]
    assert split_recordings(named) == (
        [tmp_path / "mixed", tmp_path / "other", tmp_path / "bars.csv"],
        [only, mixed, only],
    )
