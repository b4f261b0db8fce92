"""Tell people what happened: events from the table to WhatsApp and Telegram, in order (§7.1).

A process of its own: nothing that fails here can touch trading. The database's announcement only wakes it;
the rows are read, so what was raised while it was away is sent later. Each recipient has a lane, in which
messages leave one after the other, so that somebody whose channel hangs holds up nobody else.
"""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Final

import psycopg
from sqlalchemy import Engine

from adapters.db.engine import DatabaseUnreachable, begin, create_engine
from adapters.db.live import connect
from adapters.db.repos.events import CHANNEL, Horizon
from adapters.db.repos.notifications import (
    Parcel,
    claim,
    close_events,
    count_waiting,
    hand_out,
    pass_over,
    settle,
    take_lead,
)
from adapters.log import get_logger, redact
from adapters.notify.guarded import GuardedClient
from adapters.notify.sender import Delivered, Outcome, Sender, Undelivered
from adapters.notify.telegram import TelegramBot
from adapters.notify.wuzapi import WuzApi
from adapters.settings import ENV_PREFIX, Settings
from propdesk.core.clock import NS_PER_SECOND, Clock
from propdesk.core.errors import ConfigFault, PropdeskError
from propdesk.model.trade_event import Severity

LEAD_APPLICATION: Final = "propdesk-notifier-lead"
"""Name of the connection that holds the lead, as PostgreSQL shows it."""
POLL_S: Final = 5.0
"""An announcement that was lost (a dead connection goes unnoticed) costs no more than this."""
UNSETTLED_S: Final = 0.1
REST_FIRST_S: Final = 2.0
REST_MAX_S: Final = 60.0
"""A channel that failed rests 2 s, then twice as long each time; another one serves meanwhile."""
UNKNOWN_MAX: Final = 3
"""Attempts of unknown outcome, whatever came between: each may be a message that the recipient has."""
_DIAL_AGAIN_S: Final = 2.0
_LOOKS_MAX: Final = 50
"""Looks of ``--once`` for events of writers under way, `UNSETTLED_S` apart."""


class AlreadySending(PropdeskError):
    """Another process sends the messages of this account."""


@dataclass(slots=True)
class _Rest:
    """A channel that does not take messages now."""

    failures: int = 0
    until_ns: int = 0


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who is told.

    Parameters
    ----------
    name : str
    addresses : mapping of str to str
        By channel.
    routes : mapping of str to sequence of str
        Channels by severity, the first choice first; those without an address are left out.
    """

    name: str
    addresses: Mapping[str, str]
    routes: Mapping[str, Sequence[str]]


@dataclass(slots=True)
class Lane:
    """The messages of one recipient, one after the other.

    Parameters
    ----------
    engine : Engine
        As the notifier.
    account_id : str
    recipient : Recipient
    senders : mapping of str to Sender
        By channel.
    clock : Clock
    attempts_max : int
        A message is given up after so many.
    secrets : frozenset of str
        Masked in what is kept of a failure.
    given_up : int
        Messages so far that became dead letters.
    """

    engine: Engine
    account_id: str
    recipient: Recipient
    senders: Mapping[str, Sender]
    clock: Clock
    attempts_max: int
    secrets: frozenset[str]
    given_up: int = 0
    _rests: dict[str, _Rest] = field(default_factory=dict)
    _free_ns: int = 0

    async def step(self) -> int | None:
        """Send the next message if it is due.

        Returns
        -------
        int or None
            When to step again, ns UTC; None when nothing waits.
        """
        now_ns = self.clock.now_ns()
        if now_ns < self._free_ns:
            return self._free_ns
        parcel = await asyncio.to_thread(self._claim, now_ns)
        if parcel is None:
            return None
        if parcel.due_ns > now_ns:
            return parcel.due_ns
        if parcel.unknowns >= UNKNOWN_MAX or parcel.attempts > self.attempts_max:
            await self._give_up(parcel, "it left before, and what became of it could not be put down")
        else:
            await self._deliver(parcel)
        return max(self._free_ns, self.clock.now_ns())

    def _claim(self, now_ns: int) -> Parcel | None:
        with begin(self.engine) as connection:
            return claim(connection, self.account_id, self.recipient.name, self._wakes_ns(), now_ns)

    def _wakes_ns(self) -> dict[str, int]:
        """Tell by severity from when one of its channels takes messages again."""
        return {
            severity: min(self._rests[channel].until_ns if channel in self._rests else 0 for channel in route)
            for severity, route in self.recipient.routes.items()
            if route
        }

    async def _deliver(self, parcel: Parcel) -> None:
        """Try the channels in their order; put down what became of the message."""
        text, severity = "\n\n".join(parcel.texts), parcel.severity
        reasons: list[str] = []
        is_unknown = is_open = False
        for channel in self.recipient.routes.get(severity, ()):
            rest = self._rests.setdefault(channel, _Rest())
            if rest.until_ns > self.clock.now_ns():
                is_open = True
                continue
            address = self.recipient.addresses[channel]
            outcome = await self._send(channel, address, text, parcel)
            self._free_ns = self.clock.now_ns() + self.senders[channel].pause_ns(address)
            if isinstance(outcome, Delivered):
                self._rests[channel] = _Rest()
                await self._settle(parcel, "SENT", channel=channel, reason="; ".join(reasons))
                return
            reasons.append(f"{channel}: {outcome.reason}")
            if isinstance(outcome, Undelivered):
                is_open, is_unknown = True, is_unknown or outcome.is_unknown
                self._let_rest(rest, outcome)
        await self._postpone(parcel, reasons, is_open=is_open, is_unknown=is_unknown)

    async def _send(self, channel: str, address: str, text: str, parcel: Parcel) -> Outcome:
        try:
            return await self.senders[channel].send(
                address, text, message_id=parcel.message_id, is_silent=parcel.severity == Severity.INFO
            )
        except Exception as fault:  # one message that cannot be sent must not end all others
            get_logger(recipient=self.recipient.name).exception("sender_failed", channel=channel)
            return Undelivered(f"the sender failed ({type(fault).__name__})", is_unknown=True)

    def _let_rest(self, rest: _Rest, outcome: Undelivered) -> None:
        rest.failures += 1
        backoff_s = min(REST_FIRST_S * 2 ** (rest.failures - 1), REST_MAX_S)
        wait_s = max(backoff_s, outcome.wait_s or 0.0)
        rest.until_ns = self.clock.now_ns() + round(wait_s * NS_PER_SECOND)

    async def _postpone(self, parcel: Parcel, reasons: list[str], *, is_open: bool, is_unknown: bool) -> None:
        """Try it again once a channel is rested; give it up where none will take it, or after long enough."""
        parcel = replace(parcel, unknowns=parcel.unknowns + is_unknown)
        is_spent = parcel.attempts >= self.attempts_max or parcel.unknowns >= UNKNOWN_MAX
        if not is_open or is_spent:
            await self._give_up(parcel, "; ".join(reasons) or "no channel took it in time")
            return
        rests = (self._rests[channel].until_ns for channel in self.recipient.routes[parcel.severity])
        due_ns = min((ns for ns in rests if ns > self.clock.now_ns()), default=0)
        await self._settle(parcel, "WAITING", reason="; ".join(reasons), due_ns=due_ns)

    async def _give_up(self, parcel: Parcel, reason: str) -> None:
        self.given_up += 1
        await self._settle(parcel, "DEAD", reason=reason)

    async def _settle(
        self, parcel: Parcel, state: str, *, channel: str | None = None, reason: str = "", due_ns: int = 0
    ) -> None:
        masked = str(redact(reason, self.secrets))
        log = get_logger(recipient=self.recipient.name, event_ids=parcel.event_ids)
        if state == "SENT":
            log.info("message_sent", channel=channel, attempts=parcel.attempts)
        else:
            log.warning("message_failed", state=state, attempts=parcel.attempts, reason=masked)

        def put_down() -> None:
            with begin(self.engine) as connection:
                settle(
                    connection, self.account_id, self.recipient.name, parcel.event_ids, state=state,
                    now_ns=self.clock.now_ns(), unknowns=parcel.unknowns, channel=channel,
                    reason=masked, due_ns=due_ns,
                )  # fmt: skip

        await asyncio.to_thread(put_down)
        if state == "SENT":
            await asyncio.to_thread(
                mark_sent, self.engine, self.account_id, min(parcel.event_ids), max(parcel.event_ids)
            )


def mark_sent(engine: Engine, account_id: str, first: int, last: int) -> None:
    """Mark the events of a range that everybody has; where that fails, the next look does it."""
    try:
        with begin(engine) as connection:
            close_events(connection, account_id, first, last)
    except (psycopg.Error, DatabaseUnreachable) as error:
        get_logger(account_id=account_id).warning("events_not_marked", error=str(error))


class Notifier:
    """Sends the messages of one account.

    Parameters
    ----------
    settings : Settings
        Name recipients, channels and their tokens.
    clock : Clock
    senders : mapping of str to Sender
        By channel; those of the settings: `open_senders`.

    Raises
    ------
    ConfigFault
        If nobody is to be told by any of the senders.
    """

    def __init__(self, settings: Settings, clock: Clock, senders: Mapping[str, Sender]) -> None:
        self._settings = settings
        self._clock = clock
        self._account_id = settings.account_id
        self._url = settings.database_url("notifier")
        self._engine = create_engine(self._url, "propdesk-notifier")
        self._horizon = Horizon(self._account_id)
        self._ring = asyncio.Event()
        self._stop = asyncio.Event()
        recipients = recipients_of(settings, senders)
        self._audience = audience_of(settings)
        reached = {(r.name, severity) for r in recipients for severity, route in r.routes.items() if route}
        told = {(name, severity) for name, severities in self._audience.items() for severity in severities}
        self._reached = sorted(reached)
        self._unreached = sorted(told - reached)
        for name, severity in self._unreached:
            get_logger(recipient=name).warning("no_channel_has_a_token", severity=severity)
        self._lanes = [
            Lane(
                self._engine, self._account_id, recipient, senders, clock, settings.notify_attempts_max,
                settings.secret_values(),
            )
            for recipient in recipients
        ]  # fmt: skip

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    async def run(self) -> None:
        """Send until asked to stop; a database that goes away is waited for.

        Raises
        ------
        AlreadySending
            If another process does so.
        """
        while not self._stop.is_set():
            try:
                async with await connect(self._url, LEAD_APPLICATION) as connection:
                    await self._lead(connection)
                    async with asyncio.TaskGroup() as group:
                        for lane in self._lanes:
                            group.create_task(self._run_lane(lane))
                        feed = group.create_task(self._feed(connection))
                        await self._stop.wait()
                        feed.cancel()
                        self._strike()  # what is on its way is put down before the lanes end
            except* (psycopg.OperationalError, DatabaseUnreachable) as fault:
                get_logger().warning("notifier_away", error=str(fault.exceptions[0]))
            with suppress(TimeoutError):
                async with asyncio.timeout(_DIAL_AGAIN_S):
                    await self._stop.wait()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stop.set()

    async def _feed(self, connection: "psycopg.AsyncConnection[tuple[object, ...]]") -> None:
        """Hand new events out whenever the database announces one, and now and then."""
        await connection.execute(f"LISTEN {CHANNEL}".encode())
        while True:
            is_unsettled = await asyncio.to_thread(self._hand_out)
            self._strike()
            wait_s = UNSETTLED_S if is_unsettled else POLL_S
            async for _ in connection.notifies(timeout=wait_s, stop_after=1):
                pass

    async def _lead(self, connection: "psycopg.AsyncConnection[tuple[object, ...]]") -> None:
        if not await take_lead(connection, self._account_id):
            raise AlreadySending(
                f"The messages of account {self._account_id} are sent by another process already "
                "(`python3 run.py up` starts one); end that one first."
            )

    async def run_once(self) -> bool:
        """Send what waits now, without waiting for channels that fail.

        Returns
        -------
        bool
            Whether everything was sent.

        Raises
        ------
        AlreadySending
            If another process sends.
        """
        async with await connect(self._url, LEAD_APPLICATION) as connection:
            await self._lead(connection)
            for _ in range(_LOOKS_MAX):
                if not await asyncio.to_thread(self._hand_out):
                    break
                await asyncio.sleep(UNSETTLED_S)
            is_empty = all(await asyncio.gather(*(self._empty(lane) for lane in self._lanes)))
            return await asyncio.to_thread(self._count_unreached) == 0 and is_empty

    def _count_unreached(self) -> int:
        """Count, and say, what waits for a channel that has no token."""
        with begin(self._engine) as connection:
            count = count_waiting(connection, self._account_id, self._unreached)
        if count:
            get_logger().warning("messages_wait_for_a_token", count=count)
        return count

    async def _empty(self, lane: Lane) -> bool:
        """Step until nothing waits, or what waits is not due within the pause between two messages."""
        while (due_ns := await lane.step()) is not None:
            wait_s = (due_ns - self._clock.now_ns()) / NS_PER_SECOND
            if wait_s > max(lane.senders[c].pause_ns(a) for c, a in lane.recipient.addresses.items()) / 1e9:
                return False
            await asyncio.sleep(max(wait_s, 0.0))
        return lane.given_up == 0

    def _hand_out(self) -> bool:
        """Put new events into the lanes; says whether events are there that cannot be read yet."""
        with begin(self._engine) as connection:
            until, is_unsettled = self._horizon.look(connection)
        with begin(self._engine) as connection:
            now_ns = self._clock.now_ns()
            before_ns = now_ns - self._settings.notify_backlog_s * NS_PER_SECOND
            hand_out(connection, self._account_id, until, self._audience, now_ns)
            passed = pass_over(connection, self._account_id, self._reached, before_ns, now_ns)
        if passed:
            get_logger().warning("messages_passed_over", count=passed)
        mark_sent(self._engine, self._account_id, 0, until)
        return is_unsettled

    def _strike(self) -> None:
        ring, self._ring = self._ring, asyncio.Event()
        ring.set()

    async def _run_lane(self, lane: Lane) -> None:
        while not self._stop.is_set():
            ring = self._ring
            due_ns = await lane.step()
            wait_s = None if due_ns is None else (due_ns - self._clock.now_ns()) / NS_PER_SECOND
            if wait_s is not None and wait_s <= 0:
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await ring.wait()


def audience_of(settings: Settings) -> dict[str, list[str]]:
    """Give the severities that each recipient is to be told of, whether or not a channel has a token now."""
    return {
        name: [
            severity for severity, route in settings.notify_channels.items() if addresses.keys() & set(route)
        ]
        for name, addresses in settings.notify_recipients.items()
    }


def recipients_of(settings: Settings, senders: Mapping[str, Sender]) -> list[Recipient]:
    """Give everybody who can be told by the channels at hand.

    Raises
    ------
    ConfigFault
        If there is nobody.
    """
    found = []
    for name, addresses in settings.notify_recipients.items():
        usable = {channel: address for channel, address in addresses.items() if channel in senders}
        routes = {
            severity: [channel for channel in route if channel in usable]
            for severity, route in settings.notify_channels.items()
        }
        if any(routes.values()):
            found.append(Recipient(name, usable, routes))
    if not found:
        raise ConfigFault(
            f"Nobody can be told: set {ENV_PREFIX}NOTIFY_RECIPIENTS and the token of a channel "
            "(docs/notifications.md)."
        )
    return found


async def open_senders(settings: Settings, stack: AsyncExitStack) -> dict[str, Sender]:
    """Make the senders of the channels whose token is set; the stack closes them."""
    senders: dict[str, Sender] = {}
    if settings.wuzapi_token is not None and settings.wuzapi_url:
        client = GuardedClient(settings.wuzapi_url, is_private_allowed=settings.wuzapi_is_private)
        stack.push_async_callback(client.close)
        senders[WuzApi.name] = WuzApi(client, settings.wuzapi_token.get_secret_value())
    if settings.telegram_bot_token is not None:
        client = GuardedClient(settings.telegram_url)
        stack.push_async_callback(client.close)
        senders[TelegramBot.name] = TelegramBot(client, settings.telegram_bot_token.get_secret_value())
    return senders


@dataclass(frozen=True, slots=True)
class Trial:
    """How trial messages went: recipient, channel and words of each; whether all were taken."""

    rows: list[tuple[str, str, str]]
    is_good: bool


def run_trial(settings: Settings) -> Trial:
    """Send a message to everybody by every channel of theirs, past the table.

    Raises
    ------
    ConfigFault
        If there is nobody.
    """
    return asyncio.run(_trial(settings))


async def _trial(settings: Settings) -> Trial:
    text = f"propdesk: messages of account {settings.account_id} will come here."
    rows, is_good = [], True
    async with AsyncExitStack() as stack:
        senders = await open_senders(settings, stack)
        for recipient in recipients_of(settings, senders):
            for channel, address in recipient.addresses.items():
                outcome = await senders[channel].send(address, text, message_id="", is_silent=False)
                is_taken = isinstance(outcome, Delivered)
                words = "taken" if isinstance(outcome, Delivered) else outcome.reason
                rows.append((recipient.name, channel, str(redact(words, settings.secret_values()))))
                is_good = is_good and is_taken
    return Trial(rows, is_good)


def run_notifier(settings: Settings, clock: Clock, *, once: bool) -> bool:
    """Send messages until asked to end, or (``once``) what waits now.

    Returns
    -------
    bool
        False if ``once`` left something unsent.
    """
    return asyncio.run(_run(settings, clock, once=once))


async def _run(settings: Settings, clock: Clock, *, once: bool) -> bool:
    async with AsyncExitStack() as stack:
        notifier = Notifier(settings, clock, await open_senders(settings, stack))
        stack.callback(notifier.close)
        if once:
            return await notifier.run_once()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, notifier.stop)
        await notifier.run()
        get_logger().info("notifier_stopped")
        return True
