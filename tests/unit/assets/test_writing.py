"""A step's writes: in order, beside the step, all or nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, get_ident
from typing import Any, cast

import pytest

from assets._shared.resources import Writing


class Recorder:
    """Stands for a connection: keeps what was done with it, and by which thread."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.threads: set[int] = set()

    def note(self, what: object) -> None:
        self.done.append(what)
        self.threads.add(get_ident())


def write(connection: Any, what: object, *, after: Event | None = None) -> None:
    if after is not None:
        assert after.wait(10)
    connection.note(what)


def fail(connection: Any) -> None:
    raise ValueError("the disk is full")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def work(recorder: Recorder) -> Iterator[Writing]:
    with ThreadPoolExecutor(1) as thread:
        yield Writing(cast("Any", recorder), thread)


def test_the_step_goes_on_while_its_writes_happen_in_order(work: Writing, recorder: Recorder) -> None:
    gate = Event()
    work.later(write, 1, after=gate)
    work.later(write, 2)
    assert recorder.done == []
    gate.set()
    work.wait()
    assert recorder.done == [1, 2]
    assert get_ident() not in recorder.threads


def test_whoever_reads_sees_what_was_written_before(work: Writing, recorder: Recorder) -> None:
    work.later(write, 1)
    assert cast("Any", work.connection).done == [1]


def test_a_failed_write_is_raised_and_what_follows_is_not_written(work: Writing, recorder: Recorder) -> None:
    gate = Event()
    work.later(write, 1, after=gate)
    work.later(fail)
    gate.set()
    with pytest.raises(ValueError, match="the disk is full"):
        work.wait()
    work.later(write, 3)
    with pytest.raises(ValueError, match="the disk is full"):
        work.wait()
    assert recorder.done == [1]
