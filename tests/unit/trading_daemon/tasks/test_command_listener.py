"""Commands on their way from the table to the decider."""

import asyncio

from propdesk.model.messages import CommandAsked
from trading_daemon.bus import Bus
from trading_daemon.tasks.command_listener import COMMANDS_MAX, LOOK_S, CommandListener


def command(number: int) -> CommandAsked:
    return CommandAsked(number, "PAUSE", {}, "asha", "TRADER", "CLI", 1, 2, 3)


class Table:
    """Holds open commands; what is asked while nobody looks announces itself."""

    def __init__(self, *numbers: int) -> None:
        self.open = list(numbers)
        self.calls: list[str] = []
        self.announced = asyncio.Event()
        self.waiting = asyncio.Event()

    async def listen(self) -> None:
        self.calls.append("listen")

    async def wait(self, timeout_s: float) -> None:
        assert timeout_s == LOOK_S
        self.calls.append("wait")
        self.waiting.set()
        await self.announced.wait()
        self.announced.clear()

    async def open_commands(self, most: int) -> list[CommandAsked]:
        assert most == COMMANDS_MAX
        self.calls.append("open")
        return [command(number) for number in self.open]


def handed(bus: Bus) -> list[int]:
    found = []
    for envelope in bus.events.take_waiting(100):
        (event,) = envelope.events
        assert isinstance(event, CommandAsked)
        found.append(event.command_id)
    return found


async def test_an_open_command_is_handed_over_once_and_by_the_next_process_again() -> None:
    bus, table = Bus(), Table(1, 2)
    listener = CommandListener(bus, table)
    await listener.look()
    table.open.append(3)
    await listener.look()
    assert handed(bus) == [1, 2, 3]
    table.open.remove(1)  # answered
    await listener.look()
    assert handed(bus) == []
    await CommandListener(bus, table).look()
    assert handed(bus) == [2, 3]


async def test_what_the_start_has_taken_is_not_handed_over_again() -> None:
    bus, table = Bus(), Table(1)
    listener = CommandListener(bus, table)
    assert [one.command_id for one in await listener.open_commands()] == [1]
    table.open.append(2)
    await listener.look()
    assert handed(bus) == [2]


async def test_it_listens_before_it_looks_so_that_nothing_falls_between() -> None:
    bus, table = Bus(), Table()
    running = asyncio.create_task(CommandListener(bus, table).run())
    await table.waiting.wait()
    assert table.calls == ["listen", "open", "wait"]
    table.open.append(7)
    table.announced.set()
    assert (await bus.events.get()).events == (command(7),)
    running.cancel()
