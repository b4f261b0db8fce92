"""Work in forked processes: same results, same errors, nothing left behind."""

import multiprocessing
import os
import signal
from threading import Lock

import numpy as np
import pandas as pd
import pytest

from adapters.forks import ForkFailed, in_forks, spread_over_forks
from propdesk.core.errors import DataFault


def test_results_come_in_the_order_of_the_pieces_from_other_processes() -> None:
    shift = 5
    found = in_forks(lambda piece: (piece + shift, os.getpid()), [1, 2, 3])
    assert [value for value, _ in found] == [6, 7, 8]
    assert len({pid for _, pid in found}) == 3
    assert found[0][1] == os.getpid()
    assert in_forks(lambda piece: piece, []) == []
    assert in_forks(lambda piece: os.getpid(), [1]) == [os.getpid()]


def test_a_result_larger_than_a_pipe_arrives_while_we_work_ourselves() -> None:
    sizes = [10, 300_000]
    small, large = in_forks(lambda size: pd.DataFrame({"value": np.arange(size)}), sizes)
    assert (len(small), len(large)) == (10, 300_000)
    assert int(large["value"].iloc[-1]) == 299_999


def test_what_a_piece_raises_is_raised_here_with_its_place() -> None:
    def work(piece: int) -> int:
        if piece == 2:
            raise DataFault("the second piece is broken")
        return piece

    with pytest.raises(DataFault, match="the second piece is broken") as caught:
        in_forks(work, [1, 2, 3])
    assert "in work" in "".join(caught.value.__notes__)
    assert not multiprocessing.active_children()


def test_an_error_of_our_own_piece_ends_the_others() -> None:
    def work(piece: int) -> int:
        if piece == 1:
            raise DataFault("ours")
        signal.pause()
        return piece

    with pytest.raises(DataFault, match="ours"):
        in_forks(work, [1, 2])
    assert not multiprocessing.active_children()


def test_a_killed_process_is_an_error_not_a_missing_result() -> None:
    def work(piece: int) -> int:
        if piece == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return piece

    with pytest.raises(ForkFailed, match="killed"):
        in_forks(work, [1, 2])


def test_what_cannot_be_sent_back_is_said() -> None:
    with pytest.raises(ForkFailed, match="cannot be sent back"):
        in_forks(lambda piece: Lock(), [1, 2])


def test_spreading_gives_what_map_gives() -> None:
    for count in (0, 1, 2, 7):
        items = list(range(count))
        assert spread_over_forks(lambda item: item * item, items) == [item * item for item in items]
