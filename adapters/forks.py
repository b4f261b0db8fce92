"""One function over several pieces of work, each in a process forked for it."""

import ctypes
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from propdesk.core.errors import PropdeskError

T = TypeVar("T")
R = TypeVar("R")

_PR_SET_PDEATHSIG = 1


class ForkFailed(PropdeskError):
    """A forked process ended without a result; the text carries what it said last."""


def in_forks(function: Callable[[T], R], pieces: Sequence[T]) -> list[R]:
    """Give the results of a function for every piece, in order; the first is worked on here.

    Parameters
    ----------
    function : callable
        Any closure: a forked process has everything that this one has. It must use no connection of this
        process, and what it changes in memory is lost but for its result.
    pieces : sequence
        One process each, but for the first. A result is sent back whole.

    Returns
    -------
    list
        As ``[function(piece) for piece in pieces]``, which it is where a system cannot fork.

    Raises
    ------
    Exception
        What a piece raised, where it can be sent; the others are ended.
    ForkFailed
        If a process died, or raised what cannot be sent.
    """
    if len(pieces) < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return [function(piece) for piece in pieces]
    context = multiprocessing.get_context("fork")
    started = []
    try:
        for piece in pieces[1:]:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(theirs, os.getpid(), function, piece))
            process.start()
            theirs.close()  # so that the end of the process is the end of what can be read
            started.append((process, ours))
        results = [function(pieces[0])]
        results += [_received(ours) for _, ours in started]
        return results
    finally:
        for process, ours in started:
            ours.close()
            process.kill()  # has no effect on one that has ended
            process.join()
            process.close()


def spread_over_forks(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do as ``map`` does, in as many processes as there are processors; see `in_forks`."""
    everything, processes = list(items), os.cpu_count() or 1
    parts = [everything[start::processes] for start in range(min(processes, len(everything)))]
    done = in_forks(lambda part: [function(one) for one in part], parts)
    found: list[R] = [done[at % len(parts)][at // len(parts)] for at in range(len(everything))]
    return found


def _work(channel: Connection, parent: int, function: Callable[[T], R], piece: T) -> None:
    """Work on one piece in a forked process, which does not outlive the one that asked."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that asked hears it, and ends this
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    try:
        answer: tuple[bool, object] = (True, function(piece))
    except Exception as error:
        error.add_note(traceback.format_exc())
        answer = (False, error)
    try:
        channel.send(answer)
    except OSError:  # the process that asked is gone, or no longer wants it
        return
    except Exception:
        said = (
            "".join(traceback.format_exception(answer[1])) if isinstance(answer[1], Exception) else answer[1]
        )
        channel.send((False, ForkFailed(f"What a forked process found cannot be sent back: {said}")))


def _received(channel: Connection) -> Any:
    try:
        is_done, result = channel.recv()
    except (EOFError, OSError) as error:
        raise ForkFailed("A forked process was killed before it had a result; is memory short?") from error
    if not is_done:
        raise result
    return result
