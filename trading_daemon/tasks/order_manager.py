"""The only caller of the broker's write API: drains committed intents (§5.7)."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from propdesk.core.clock import NS_PER_SECOND, Clock
from propdesk.core.errors import (
    AccessRefused,
    AuthExpired,
    BrokerFault,
    DataFault,
    PropdeskError,
    Rejected,
    Retryable,
    TooLate,
)
from propdesk.model.live import Answer, ClaimOutcome, IntentState
from propdesk.model.messages import (
    ACCESS,
    BrokerUpdate,
    BrokerUpdateKind,
    ConnectionChanged,
    EntryWaited,
    IntentKind,
    OrderIntent,
)
from propdesk.ports import Broker, BrokerAck
from propdesk.risk.throttle import OrderThrottle
from trading_daemon.bus import Bus, Envelope, Withdrawal, end_if_cancelled
from trading_daemon.metrics import Laps
from trading_daemon.ports import Log, Outbox

CLAIM_AGE_NS_MAX = 3 * NS_PER_SECOND
"""An intent whose claim is older when it is about to leave is refused: the process may have been paused.

An entry is measured once more where its bytes leave: the token it needs may take longer to get.
"""
_TOO_OLD = "CLAIM_TOO_OLD"

ACCESS_CHECK_S = 30.0
"""Seconds between two questions whether a broker that refused us altogether takes orders again."""

_WAIT_S_MAX = 1.0
"""After which a call that waits for its rate looks again whether it may be sent at all."""

ENTRY_WAIT_NS_MAX = 3 * NS_PER_SECOND
"""An entry that is claimed later than this after it was decided passes the gates again first (§5.3)."""


class Deposed(PropdeskError):
    """A newer daemon leads this account."""


class OrderManager:
    """Sends each committed intent at most once.

    Parameters
    ----------
    broker : Broker
    outbox : Outbox
        Its connection belongs to this task.
    laps : Laps
        Times the way of each entry.
    has_access : bool
        False where the broker refused every order when the last process ended.
    sent_ns : tuple of int
        When earlier processes sent what they sent within a day, rising: each counts as one call, so that the
        rates are never taken for more used than they are and hold no exit back.
    access_check_s : float
        Seconds between two questions whether it still does.
    on_fault : callable
        Told of each failure of a call that is none of the broker's own, with where it happened.
    """

    def __init__(
        self,
        bus: Bus,
        broker: Broker,
        outbox: Outbox,
        clock: Clock,
        log: Log,
        laps: Laps,
        *,
        has_access: bool = True,
        sent_ns: tuple[int, ...] = (),
        access_check_s: float = ACCESS_CHECK_S,
        on_fault: Callable[[str, Exception], None] = lambda _where, _fault: None,
    ) -> None:
        self._bus = bus
        self._broker = broker
        self._outbox = outbox
        self._clock = clock
        self._log = log
        self._laps = laps
        rates = broker.capabilities.order_rates
        self._throttle = None if rates is None else OrderThrottle(rates, sent_ns)
        self._is_busy = False
        self._has_access = has_access
        self._access_check_s = access_check_s
        self._on_fault = on_fault
        self._probed_ns = 0
        self._checked_s = time.monotonic()

    async def run(self) -> None:
        """Send until cancelled; what is claimed is always answered before the next intent is taken."""
        while True:
            if not await self._is_asked() or not await self._may_take():
                continue
            taken = await self._bus.intents.get()
            self._is_busy = True
            if isinstance(taken, Withdrawal):
                await self._withdraw(taken)
            else:
                await self._handle(taken)
            self._is_busy = False
            self._bus.intents.done(len(taken.intents) if isinstance(taken, Withdrawal) else 1)
            end_if_cancelled()

    async def _is_asked(self) -> bool:
        """Wait for an intent; while the broker takes no order, ask now and then whether it does again.

        That is asked when its time has come, whatever waits: what is tried again and again must not keep it
        from being asked. In lockstep the driver of the day's time asks (`probe`).
        """
        if self._has_access or self._bus.lockstep:
            await self._bus.intents.ready()
            return True
        left_s = self._checked_s + self._access_check_s - time.monotonic()
        if left_s > 0:
            try:
                async with asyncio.timeout(left_s):
                    await self._bus.intents.ready()
            except TimeoutError:
                end_if_cancelled()
            else:
                return True
        await self._check_access()
        return False

    async def probe(self) -> None:
        """Ask whether a broker that takes no order does again, at a moment of the day's own time."""
        now_ns = self._clock.now_ns()
        if not self._has_access and now_ns - self._probed_ns >= self._access_check_s * NS_PER_SECOND:
            self._probed_ns = now_ns
            await self._check_access()

    async def _check_access(self) -> None:
        self._checked_s = time.monotonic()
        try:
            with self._counted():
                await self._broker.check_access()
        except (BrokerFault, DataFault, OSError, TimeoutError) as fault:
            self._log.warning("access_still_refused", reason=str(fault))
        else:
            await self._access(has_access=True, reason="")

    async def _access(self, *, has_access: bool, reason: str) -> None:
        """Tell the reducer once that the broker refuses us altogether, or does no longer."""
        if has_access is self._has_access:
            return
        self._has_access = has_access
        self._checked_s = time.monotonic()
        self._log.warning("access_changed", has_access=has_access, reason=reason)
        changed = ConnectionChanged(ACCESS, has_access, self._clock.now_ns(), reason)
        await self._bus.events.put(Envelope((changed,)))

    async def _may_take(self) -> bool:
        """Wait for a rate token with the queue untouched: what becomes urgent meanwhile leaves first."""
        if self._throttle is None or not self._bus.sending:
            return True
        urgency = self._bus.intents.urgency
        wait = self._throttle.wait_ns(self._clock.now_ns(), urgency)
        if wait <= 0:
            return True
        begun = self._laps.now()
        await self._bus.intents.more_urgent(urgency, min(wait / NS_PER_SECOND, _WAIT_S_MAX))
        self._laps.held_back(begun)
        end_if_cancelled()
        return False

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Take off the rates what is really sent meanwhile: an intent may take no call, or several."""
        before = self._broker.writes
        try:
            yield
        finally:
            if self._throttle is not None:
                self._throttle = self._throttle.sent(self._clock.now_ns(), self._broker.writes - before)

    async def idle(self) -> None:
        """Wait until no intent is between its claim and its answer."""
        await self._bus.pulse.until(lambda: not self._is_busy)

    async def _handle(self, intent: OrderIntent) -> None:
        if not self._bus.sending:
            return
        self._laps.taken(intent.intent_id)
        if intent.is_entry and not self._has_access:
            await self._refuse(intent, IntentState.BLOCKED, "KILL_SWITCH")
        elif await self._may_leave(intent):
            await self._claim(intent)

    async def _claim(self, intent: OrderIntent) -> None:
        claimed, begun = time.monotonic_ns(), self._laps.now()
        outcome = await self._outbox.claim(intent, self._clock.now_ns())
        self._laps.claimed(begun)
        if outcome is ClaimOutcome.DEPOSED:
            self._depose()
        if outcome is ClaimOutcome.BLOCKED:
            await self._refuse(intent, IntentState.BLOCKED, "KILL_SWITCH")
        elif outcome is ClaimOutcome.CLAIMED:
            if time.monotonic_ns() - claimed > CLAIM_AGE_NS_MAX:
                await self._refuse(intent, IntentState.REJECTED, _TOO_OLD)
            else:
                await self._send(intent, claimed + CLAIM_AGE_NS_MAX)

    async def _may_leave(self, intent: OrderIntent) -> bool:
        """Let an entry that waited too long be judged again first; exits and protection always leave."""
        if not intent.is_entry:
            return True
        verdict = self._bus.verdicts.pop(intent.intent_id, None)
        if verdict is not None and verdict.refusal:
            # Nobody needs to be told: the reducer has ended the entry when it said so.
            self._log.warning("entry_refused", intent_id=intent.intent_id, reason=verdict.refusal)
            outcome = await self._outbox.withdraw((intent,), self._clock.now_ns(), reason=verdict.refusal)
            if outcome is ClaimOutcome.DEPOSED:
                self._depose()
            return False
        now_ns = self._clock.now_ns()
        if now_ns - (intent.created_ns if verdict is None else verdict.ts_ns) <= ENTRY_WAIT_NS_MAX:
            return True
        self._bus.intents.park(intent)
        waited = EntryWaited(intent.intent_id, intent.correlation_id, now_ns)
        await self._bus.events.put(Envelope((waited,)))
        return False

    async def _withdraw(self, withdrawal: Withdrawal) -> None:
        """Answer an entry and all changes of it at once, unsent; the reducer hears that the entry is over."""
        # A cancel of the batch that judged the entry came behind its verdict: nobody will ask for that.
        self._bus.verdicts.pop(withdrawal.place.intent_id, None)
        if not self._bus.sending:
            return
        now_ns = self._clock.now_ns()
        outcome = await self._outbox.withdraw(withdrawal.intents, now_ns)
        if outcome is ClaimOutcome.DEPOSED:
            self._depose()
        if outcome is ClaimOutcome.NOT_PREPARED:
            # The entry left in an earlier life of the process: its changes mean something after all.
            for intent in withdrawal.intents:
                await self._claim(intent)
            return
        self._log.info("entry_withdrawn", intent_id=withdrawal.place.intent_id)
        state = IntentState.WITHDRAWN
        await self._tell(Answer(withdrawal.place, state, state.value))

    def _depose(self) -> NoReturn:
        self._bus.stop_sending()
        raise Deposed("Another daemon took over this account: no order is sent any more.")

    async def _send(self, intent: OrderIntent, leave_by_ns: int) -> None:
        before = self._broker.writes
        try:
            with self._counted():
                ack = await self._call(intent, leave_by_ns)
        except TooLate:
            await self._refuse(intent, IntentState.REJECTED, _TOO_OLD)
        except (Rejected, Retryable, AuthExpired) as fault:
            # Each proves that the broker has nothing: a parsed refusal of the order or of the token, or a
            # connection never made.
            if isinstance(fault, AuthExpired | AccessRefused):
                await self._access(has_access=False, reason=str(fault))
            await self._refuse(intent, IntentState.REJECTED, str(fault))
        except (BrokerFault, DataFault, OSError, TimeoutError) as fault:
            # What cannot be read is neither a success nor a failure.
            if not isinstance(fault, BrokerFault):
                self._on_fault("a call of the broker", fault)
            await self._unknown(intent, f"{type(fault).__name__}: {fault}")
        else:
            reason = GUARD_UNUSED if intent.guard and not ack.guard else ""
            await self._answer(intent, IntentState.WORKING, ack.broker_order_id, reason)
            await self._tell(Answer(intent, IntentState.WORKING, reason))
            if self._broker.writes > before:  # that nothing was left to do proves nothing
                await self._access(has_access=True, reason="")

    async def _call(self, intent: OrderIntent, leave_by_ns: int) -> BrokerAck:
        self._laps.leaves(intent.intent_id)
        begun = self._laps.now()
        try:
            return await self._ask_broker(intent, leave_by_ns)
        finally:
            self._laps.answered(begun)

    async def _ask_broker(self, intent: OrderIntent, leave_by_ns: int) -> BrokerAck:
        match intent.kind:
            case IntentKind.PLACE:
                return await self._broker.place(intent, leave_by_ns=leave_by_ns)
            case IntentKind.MODIFY_STOP | IntentKind.MODIFY_TARGET:
                return await self._broker.modify(intent)
            case IntentKind.CANCEL_ENTRY:
                return await self._broker.cancel(intent)
            case IntentKind.EXIT:
                return await self._broker.exit(intent)
            case IntentKind.EMERGENCY_STOP:
                return await self._broker.protect(intent)
            case IntentKind.NEUTRALISE:
                return await self._broker.neutralise(intent)

    async def _refuse(self, intent: OrderIntent, state: IntentState, reason: str) -> None:
        self._log.warning("intent_refused", intent_id=intent.intent_id, state=state.value, reason=reason)
        await self._answer(intent, state, None, reason)
        await self._tell(Answer(intent, state, reason))

    async def _unknown(self, intent: OrderIntent, reason: str) -> None:
        # Never sent again: it is looked for in the broker's lists until the end of the day.
        self._log.error("intent_outcome_unknown", intent_id=intent.intent_id, reason=reason)
        await self._answer(intent, IntentState.UNKNOWN, None, reason)
        await self._tell(Answer(intent, IntentState.UNKNOWN, reason))

    async def _answer(
        self, intent: OrderIntent, state: IntentState, broker_order_id: str | None, reason: str
    ) -> None:
        await self._outbox.answer(
            intent.intent_id,
            state,
            broker_order_id=broker_order_id,
            reason=reason,
            now_ns=self._clock.now_ns(),
        )

    async def _tell(self, answer: Answer) -> None:
        update = answer_update(answer, self._clock.now_ns())
        if update is not None:
            await self._bus.events.put(Envelope((update,)))


GUARD_UNUSED = "GUARD_UNUSED"
"""Reason of an answer to a call that was done without the guard it might have placed."""

FAULTS: Mapping[IntentState, BrokerUpdateKind] = {
    IntentState.REJECTED: BrokerUpdateKind.REJECTED,
    IntentState.BLOCKED: BrokerUpdateKind.REJECTED,
    IntentState.UNKNOWN: BrokerUpdateKind.OUTCOME_UNKNOWN,
    IntentState.WITHDRAWN: BrokerUpdateKind.CANCELLED,
}
"""What the reducer is told of an intent that did not reach the broker, or may not have."""


def answer_update(answer: Answer, now_ns: int) -> BrokerUpdate | None:
    """Make the fact that tells the reducer of an intent's fate; its id is the same after a restart.

    Returns
    -------
    BrokerUpdate or None
        None where there is nothing to tell: the broker speaks for what it took, unless it placed less than
        the intent allowed, and of a withdrawn order the entry alone has a fate.
    """
    intent, kind = answer.intent, FAULTS.get(answer.state)
    if answer.state is IntentState.WORKING and answer.reason == GUARD_UNUSED:
        kind = BrokerUpdateKind.GUARD_UNUSED
    if kind is None or (answer.state is IntentState.WITHDRAWN and intent.kind is not IntentKind.PLACE):
        return None
    return BrokerUpdate(
        update_id=f"{intent.intent_id}|{kind.value}",
        kind=kind,
        correlation_id=intent.correlation_id,
        broker_order_id="",
        price_paise=0,
        quantity=0,
        ts_ns=now_ns,
        reason=answer.reason,
        answers=intent.kind,
        guard=intent.guard,
    )
