import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from adapters.ticks.store import ParquetPriceStore, bars_table
from adapters.ticks.turns import FileLock, FolderTurns, FreeTurns, _SessionLock
from propdesk.core.errors import DataFault
from tests.unit.adapters.ticks.test_store import CALENDAR, DAY, NEXT, bars

HOLDER = """
import sys
from pathlib import Path
from adapters.ticks.turns import FolderTurns
with FolderTurns(Path(sys.argv[1])).writing():
    print("held", flush=True)
    sys.stdin.read()
"""


def store_at(folder: Path, wait_s: float = 60, say: Callable[[str], None] | None = None) -> ParquetPriceStore:
    return ParquetPriceStore(str(folder), CALENDAR, turns=FolderTurns(folder, say, wait_s))


def write(store: ParquetPriceStore, key: str, close: int) -> None:
    store.write_minutes(DAY, bars_table([(key, bars(DAY, [0], close))]))


@contextmanager
def another_account(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be an account that may read a folder and write nothing in it; gives the folder as it sees it."""
    places = [folder, *folder.rglob("*")]
    modes = {place: place.stat().st_mode for place in places}
    monkeypatch.chdir(folder)  # root's folders above it are closed to others
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        yield Path()
    finally:
        if user == 0:
            os.seteuid(user)
        for place, mode in modes.items():
            place.chmod(mode)


def test_two_writers_of_one_day_lose_nothing(tmp_path: Path) -> None:
    keys = [f"NSE_EQ:{letter}" for letter in "ABCDEFGH"]
    threads = [threading.Thread(target=write, args=(store_at(tmp_path), key, 100)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store_at(tmp_path).symbols("minute", DAY) == keys


def test_a_second_writer_waits_with_a_word_and_goes_on_when_the_first_is_done(tmp_path: Path) -> None:
    told: list[str] = []
    waits = threading.Event()

    def say(sentence: str) -> None:
        told.append(sentence)
        waits.set()

    second = threading.Thread(target=write, args=(store_at(tmp_path, say=say), "NSE_EQ:B", 200))
    first = store_at(tmp_path)
    with first.stage() as stage:
        second.start()
        assert waits.wait(30)
        assert not (tmp_path / "minute").exists()
        stage.add("minute", DAY, bars_table([("NSE_EQ:A", bars(DAY, [0]))]))
    second.join()
    assert first.symbols("minute", DAY) == ["NSE_EQ:A", "NSE_EQ:B"]
    assert len(told) == 1
    assert "is being written by process" in told[0]


def test_a_writer_that_gets_no_turn_says_who_has_it_and_does_nothing(tmp_path: Path) -> None:
    with store_at(tmp_path).writing():
        with pytest.raises(DataFault, match=r"is being written by process \d+ on .*nothing was done"):
            write(store_at(tmp_path, wait_s=0, say=lambda _: None), "NSE_EQ:A", 100)
        assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_a_step_that_reads_sees_no_file_change_and_holds_back_the_moves_only(tmp_path: Path) -> None:
    reader, told = store_at(tmp_path), []
    write(reader, "NSE_EQ:A", 100)
    with reader.reading(), store_at(tmp_path).reading():
        with pytest.raises(DataFault, match="is being read by another process"):
            write(store_at(tmp_path, wait_s=0, say=told.append), "NSE_EQ:A", 999)
        assert reader.minute_bars(["NSE_EQ:A"], DAY, DAY)["NSE_EQ:A"].close_paise.tolist() == [100]
    assert [path.name for path in tmp_path.glob(".staging-*")] == []
    write(store_at(tmp_path, wait_s=0), "NSE_EQ:A", 200)
    assert reader.minute_bars(["NSE_EQ:A"], DAY, DAY)["NSE_EQ:A"].close_paise.tolist() == [200]


def test_who_waits_to_replace_files_comes_before_who_would_read_next(tmp_path: Path) -> None:
    waits = threading.Event()
    reader, late = store_at(tmp_path), store_at(tmp_path, wait_s=0, say=lambda _: None)
    writer = threading.Thread(
        target=write, args=(store_at(tmp_path, say=lambda _: waits.set()), "NSE_EQ:A", 100)
    )
    with reader.reading():
        writer.start()
        assert waits.wait(30)
        with pytest.raises(DataFault, match=r"gets new files from process \d+ on "), late.reading():
            pass
        assert reader.days("minute") == []
    writer.join()
    with late.reading():
        assert late.symbols("minute", DAY) == ["NSE_EQ:A"]


def test_a_reader_without_the_right_to_write_holds_writers_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store_at(tmp_path), "NSE_EQ:A", 100)
    with ExitStack() as held:
        with another_account(tmp_path, monkeypatch) as folder:
            held.enter_context(store_at(folder).reading())
        with pytest.raises(DataFault, match="is being read by"):
            write(store_at(tmp_path, wait_s=0, say=lambda _: None), "NSE_EQ:A", 200)


def test_an_account_without_the_right_to_a_turn_hears_which_right_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        another_account(tmp_path, monkeypatch) as folder,
        pytest.raises(DataFault, match=r"cannot be read \(Permission denied\): .*locks"),
        store_at(folder).reading(),
    ):
        pass
    write(store_at(tmp_path), "NSE_EQ:A", 100)
    with (
        another_account(tmp_path, monkeypatch) as folder,
        pytest.raises(DataFault, match=r"cannot be written \(Permission denied\): .*locks/writer"),
    ):
        write(store_at(folder), "NSE_EQ:A", 200)


@pytest.mark.parametrize(("number", "is_read"), [(errno.EROFS, True), (errno.EMFILE, False)])
def test_only_where_nothing_can_be_written_is_read_without_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_read: bool
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("adapters.ticks.turns.os.open", refuse)
    lock = FileLock(tmp_path / "locks" / "content", "The store")
    if is_read:
        assert lock.take(shared=True)
        lock.release()
    else:
        with pytest.raises(DataFault, match=r"cannot be read \(Too many open files\): repeat this"):
            lock.take(shared=True)
    with pytest.raises(DataFault, match=r"cannot be written .*make room or move it"):
        lock.take(shared=False)


def test_a_turn_that_was_given_back_stays_with_no_forked_child(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "writer"
    first, second = FileLock(path, "The store"), FileLock(path, "The store")
    assert first.take(shared=False)
    of_child = os.dup(first._file)  # a child that is forked now has the same: the lock as it is open
    try:
        assert not second.take(shared=False)
        first.release()
        assert second.take(shared=False)
    finally:
        second.release()
        os.close(of_child)


def test_what_is_read_within_a_turn_to_write_is_written_under_it(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    with store.writing():
        write(store, "NSE_EQ:A", 100)  # a stage within takes no second turn
        with pytest.raises(DataFault, match="is being written by"):
            write(store_at(tmp_path, wait_s=0), "NSE_EQ:B", 100)
    write(store_at(tmp_path, wait_s=0), "NSE_EQ:B", 100)
    assert store.symbols("minute", DAY) == ["NSE_EQ:A", "NSE_EQ:B"]


def test_a_killed_writer_leaves_no_lock_and_its_staged_files_are_swept(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataFault, match=f"is being written by process {holder.pid} on "):
            write(store_at(tmp_path, wait_s=0), "NSE_EQ:A", 100)
        (tmp_path / f".staging-{holder.pid}-0").mkdir()
        (tmp_path / f".staging-{holder.pid}-0" / "0").write_bytes(b"half a file")
        holder.kill()
    write(store_at(tmp_path, wait_s=0), "NSE_EQ:A", 100)
    assert list(tmp_path.glob(".staging-*")) == []


def test_a_store_in_a_folder_that_is_not_there_is_read_without_a_lock(tmp_path: Path) -> None:
    store = store_at(tmp_path / "none")
    with store.reading():
        assert store.days("minute") == []
    assert not (tmp_path / "none").exists()


def test_a_turn_that_was_lost_publishes_nothing_and_what_was_read_under_it_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: object) -> None:
        raise DataFault("the turn was lost")

    store = ParquetPriceStore(f"memory://turns-{tmp_path.name}", CALENDAR)
    monkeypatch.setattr(FreeTurns, "verify", lost)
    with pytest.raises(DataFault, match="the turn was lost"):
        store.write_minutes(NEXT, bars_table([("NSE_EQ:A", bars(NEXT, [0]))]))
    assert (store.days("minute"), store._place.names("")) == ([], [])
    read: list[list[str]] = []
    with pytest.raises(DataFault, match="the turn was lost"), store.reading():
        read.append(store.symbols("minute", NEXT))
    assert read == [[]]


def test_a_database_that_does_not_answer_is_said_in_one_sentence() -> None:
    lock = _SessionLock("postgresql+psycopg://u:p@127.0.0.1:1/none", "s3://desk/prices", "writer")
    with pytest.raises(DataFault, match=r"take turns by the database, which does not answer \(.*run.py up"):
        lock.take(shared=False)
