"""Order intents: claimed before the first byte leaves, answered after (§5.7)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from psycopg.types.json import Jsonb

from adapters.db.live import LiveConnection
from propdesk.core.errors import InvariantViolated
from propdesk.engine import codec
from propdesk.model.command import STOPS
from propdesk.model.enums import KillLevel
from propdesk.model.live import Answer, ClaimOutcome, IntentState
from propdesk.model.messages import OrderIntent
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, with_wider

_INSERT = """
    INSERT INTO trading.order_intents (account_id, intent_id, trade_date, journal_seq, position, kind,
        correlation_id, group_id, leg_number, is_entry, payload, state, attempt, prepared_ns, reason)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'PREPARED', 0, %s, '')
"""
_CLAIM = """
    UPDATE trading.order_intents AS i SET state = 'SENT', attempt = attempt + 1, epoch = %(epoch)s,
        sent_ns = %(now)s
    WHERE account_id = %(account)s AND intent_id = %(intent)s AND state = 'PREPARED'
      AND (SELECT epoch FROM trading.leader_epochs WHERE account_id = %(account)s) = %(epoch)s
      AND (NOT is_entry OR NOT EXISTS (
            SELECT 1 FROM trading.risk_levels AS r
            WHERE r.account_id = %(account)s AND r.scope = ANY(%(scopes)s) AND r.cleared_ns IS NULL
              AND r.severity >= %(severity)s)
        AND NOT EXISTS (
            SELECT 1 FROM trading.commands AS c
            WHERE c.account_id = %(account)s AND c.state = 'ASKED' AND c.kind = ANY(%(stops)s)
              AND upper(coalesce(c.arguments ->> 'scope', %(whole)s)) = ANY(%(typed)s)))
    RETURNING 1
"""
_WITHDRAW = """
    UPDATE trading.order_intents SET state = 'WITHDRAWN', reason = %(reason)s, answered_ns = %(now)s
    WHERE account_id = %(account)s AND intent_id = ANY(%(intents)s) AND state = 'PREPARED'
      AND (SELECT epoch FROM trading.leader_epochs WHERE account_id = %(account)s) = %(epoch)s
      AND EXISTS (SELECT 1 FROM trading.order_intents AS p
                  WHERE p.account_id = %(account)s AND p.intent_id = %(intent)s AND p.state = 'PREPARED')
    RETURNING 1
"""
_WHY_NOT = """
    SELECT state, (SELECT epoch FROM trading.leader_epochs WHERE account_id = %(account)s)
    FROM trading.order_intents WHERE account_id = %(account)s AND intent_id = %(intent)s
"""
_ANSWER = """
    UPDATE trading.order_intents SET state = %s, broker_order_id = coalesce(%s, broker_order_id),
        reason = %s, answered_ns = %s
    WHERE account_id = %s AND intent_id = %s AND state IN ('PREPARED', 'SENT', 'UNKNOWN')
"""
SENT_SINCE = """
    SELECT sent_ns FROM trading.order_intents WHERE account_id = %s AND sent_ns > %s ORDER BY sent_ns
"""
_OPEN = """
    SELECT payload, state, reason FROM trading.order_intents
    WHERE account_id = %s AND (trade_date = %s OR trade_date < %s AND correlation_id = ANY(%s))
      AND state = ANY(%s)
    ORDER BY trade_date, journal_seq, position
"""
_NEWEST = """
    SELECT payload, state, reason FROM (
        SELECT DISTINCT ON (correlation_id, kind) * FROM trading.order_intents
        WHERE account_id = %s AND trade_date <= %s AND correlation_id = ANY(%s)
        ORDER BY correlation_id, kind, trade_date DESC, journal_seq DESC, position DESC
    ) AS newest
    WHERE trade_date < %s AND state = ANY(%s) ORDER BY trade_date, journal_seq, position
"""


class IntentRepo:
    """Outbox of one account over one connection; only the order manager claims and answers."""

    def __init__(self, connection: LiveConnection, account_id: str, epoch: int) -> None:
        self._connection = connection
        self._account_id = account_id
        self._epoch = epoch

    async def claim(self, intent: OrderIntent, now_ns: int) -> ClaimOutcome:
        """Commit SENT before the first byte leaves; epoch and kill levels are checked in the same statement.

        Returns
        -------
        ClaimOutcome
            CLAIMED: send it now. BLOCKED: a kill level of the account or of one of the intent's own scopes
            forbids entries, or a stop was asked of one of them and is not decided yet. NOT_PREPARED: it was
            sent before. DEPOSED: a newer daemon leads.
        """
        scopes = [ACCOUNT_SCOPE, *with_wider(intent.kill_scopes)]
        values = {
            "scopes": scopes,
            "typed": [scope.upper() for scope in scopes],  # nobody has looked yet which name is meant
            "stops": list(STOPS),
            "whole": ACCOUNT_SCOPE,
            "severity": KillLevel.ENTRIES_BLOCKED.severity,
        }
        return await self._settle(_CLAIM, intent, now_ns, values)

    async def withdraw(
        self, intents: Sequence[OrderIntent], now_ns: int, *, reason: str = "WITHDRAWN"
    ) -> ClaimOutcome:
        """Commit in one statement that an entry and all that was asked of its order since never leave.

        Parameters
        ----------
        intents : sequence of OrderIntent
            The PLACE first; all of one order.

        Returns
        -------
        ClaimOutcome
            CLAIMED: all are WITHDRAWN. NOT_PREPARED: the entry was sent before, nothing was changed.
            DEPOSED: a newer daemon leads.
        """
        values = {"intents": [intent.intent_id for intent in intents], "reason": reason}
        return await self._settle(_WITHDRAW, intents[0], now_ns, values)

    async def _settle(
        self, statement: str, intent: OrderIntent, now_ns: int, values: Mapping[str, object]
    ) -> ClaimOutcome:
        """Change an intent that is still PREPARED, and say why where it could not be."""
        own = {"epoch": self._epoch, "now": now_ns, "account": self._account_id, "intent": intent.intent_id}
        cursor = await self._connection.execute(statement, {**own, **values})
        if await cursor.fetchone() is not None:
            return ClaimOutcome.CLAIMED
        cursor = await self._connection.execute(_WHY_NOT, own)
        row = await cursor.fetchone()
        if row is None:
            raise InvariantViolated(f"intent {intent.intent_id} is to be sent but was never committed")
        if row[1] != self._epoch:
            return ClaimOutcome.DEPOSED
        return ClaimOutcome.BLOCKED if row[0] == IntentState.PREPARED else ClaimOutcome.NOT_PREPARED

    async def answer(
        self, intent_id: str, state: IntentState, *, broker_order_id: str | None, reason: str, now_ns: int
    ) -> None:
        """Record what became of an intent; a terminal answer is never overwritten."""
        await self._connection.execute(
            _ANSWER, (state.value, broker_order_id, reason, now_ns, self._account_id, intent_id)
        )

    async def read(
        self, trade_date: date, *states: IntentState, orders: Collection[str] = ()
    ) -> list[OrderIntent]:
        """Intents of a day in the given states, in the order they were decided.

        Of ``orders`` (correlation ids) those of earlier days come first.
        """
        return [answer.intent for answer in await self._open(trade_date, states, orders)]

    async def answers(self, trade_date: date, *states: IntentState) -> list[Answer]:
        """Intents of a day in the given states with what was answered, in the order they were decided."""
        return await self._open(trade_date, states, ())

    async def earlier_answers(
        self, trade_date: date, orders: Collection[str], *states: IntentState
    ) -> list[Answer]:
        """Give the newest intent of each kind of the given orders where it is of a day before ``trade_date``.

        Only those that are in one of the states.
        """
        named = [state.value for state in states]
        return await self._answers(_NEWEST, (trade_date, list(orders), trade_date, named))

    async def _open(
        self, trade_date: date, states: Sequence[IntentState], orders: Collection[str]
    ) -> list[Answer]:
        named = [state.value for state in states]
        return await self._answers(_OPEN, (trade_date, trade_date, list(orders), named))

    async def _answers(self, statement: str, values: Sequence[object]) -> list[Answer]:
        cursor = await self._connection.execute(statement, (self._account_id, *values))
        return [
            Answer(codec.decode_intent(payload), IntentState(state), reason)
            for payload, state, reason in await cursor.fetchall()
        ]

    async def sent_since(self, since_ns: int) -> tuple[int, ...]:
        """Give when each intent was claimed after ``since_ns`` that is not known to be unsent, rising."""
        cursor = await self._connection.execute(SENT_SINCE, (self._account_id, since_ns))
        return tuple(sent_ns for (sent_ns,) in await cursor.fetchall())

    async def prepare_again(self, intent_id: str) -> None:
        """Take a SENT intent back whose non-acceptance is proved; it keeps its correlation id."""
        await self._connection.execute(
            "UPDATE trading.order_intents SET state = 'PREPARED', sent_ns = NULL "
            "WHERE account_id = %s AND intent_id = %s AND state = 'SENT'",
            (self._account_id, intent_id),
        )


async def insert_intents(
    connection: LiveConnection, account_id: str, trade_date: date, seq: int, intents: Sequence[OrderIntent]
) -> None:
    """Write intents PREPARED in the current transaction."""
    rows: list[tuple[Any, ...]] = [
        (
            account_id,
            intent.intent_id,
            trade_date,
            seq,
            position,
            intent.kind.value,
            intent.correlation_id,
            intent.group_id,
            intent.leg_number,
            intent.is_entry,
            Jsonb(codec.to_plain(intent)),
            intent.created_ns,
        )
        for position, intent in enumerate(intents)
    ]
    async with connection.cursor() as cursor:
        await cursor.executemany(_INSERT, rows)
