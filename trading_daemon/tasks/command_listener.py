"""Commands of people → events, woken by the database and looking by itself now and then (§7.4)."""

from typing import Final

from propdesk.model.messages import CommandAsked
from trading_daemon.bus import Bus, Envelope, end_if_cancelled
from trading_daemon.ports import Commands

LOOK_S: Final = 2.0
"""Longest time between two looks: a lost announcement costs no more."""
COMMANDS_MAX: Final = 64
"""Commands taken at one look; the others wait in the table."""


class CommandListener:
    """Hands every open command to the decider once.

    A command stays open until the decider's transaction answers it. One that this process has handed over and
    not answered is therefore handed over again by the next process, never by this one.

    Parameters
    ----------
    commands : Commands
        Durable; its connection belongs to this task.
    """

    def __init__(self, bus: Bus, commands: Commands) -> None:
        self._bus = bus
        self._commands = commands
        self._handed: frozenset[int] = frozenset()

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._commands.listen()
        while True:
            await self.look()
            end_if_cancelled()
            await self._commands.wait(LOOK_S)

    async def look(self) -> None:
        """Take what is open now; a full bus lets it wait."""
        for command in await self.open_commands():
            await self._bus.events.put(Envelope((command,)))

    async def open_commands(self) -> tuple[CommandAsked, ...]:
        """Give the open commands that were not given before, in the order asked."""
        found = await self._commands.open_commands(COMMANDS_MAX)
        new = tuple(command for command in found if command.command_id not in self._handed)
        self._handed = frozenset(command.command_id for command in found)
        return new
