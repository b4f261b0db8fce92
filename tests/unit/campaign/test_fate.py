"""Boundaries: what a dead, frozen or cut process still does there."""

import asyncio

import psycopg
import pytest

from campaign.fate import AFTER, ANY, BEFORE, Edge, Ending, Fate


def edge_of(point: str, number: int, ending: Ending) -> Edge:
    return Edge(Fate(point, number, ending, 1.0), lambda _text: None)


async def cross(edge: Edge, times: int, *points: str) -> int:
    done = 0
    for _ in range(times):
        await edge.cross(*points)
        done += 1
    return done


async def test_a_process_ends_at_the_named_boundary_and_crosses_none_afterwards() -> None:
    edge = edge_of("C5", 2, Ending.KILL)
    assert await cross(edge, 3, BEFORE, "C4") == 3
    walking = asyncio.create_task(cross(edge, 9, AFTER, "C5"))
    await edge.ended.wait()
    assert edge.is_dead
    assert (edge.struck, edge.crossings) == ((AFTER, "C5"), 5)
    walking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walking
    with pytest.raises(asyncio.CancelledError):
        await edge.cross("C1")


async def test_a_cut_connection_is_an_error_once() -> None:
    edge = edge_of(ANY, 2, Ending.CUT)
    await edge.cross(BEFORE)
    with pytest.raises(psycopg.OperationalError):
        await edge.cross(BEFORE)
    assert await cross(edge, 2, AFTER) == 2


async def test_a_frozen_process_goes_on_where_it_stood() -> None:
    edge = edge_of("C23", 1, Ending.FREEZE)
    walking = asyncio.create_task(cross(edge, 2, "C23"))
    await edge.ended.wait()
    other = asyncio.create_task(edge.cross())
    await asyncio.sleep(0)
    assert not walking.done()
    assert not other.done(), "another task of a frozen process went on"
    edge.thaw()
    await other
    assert await walking == 2
