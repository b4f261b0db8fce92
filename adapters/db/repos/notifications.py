"""What is sent of the events, to whom, and how far each is (`trading.notifications`, §7.1).

A row is committed as SENDING under the name of its message before the message leaves, and as SENT after it
was taken. Whoever dies in between finds the row again and sends it under the same name: nothing is lost, and
a death costs one repeat at most, which the name (or the event's number in the text) shows to be one.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg.rows import dict_row

from adapters.db.live import LiveConnection
from adapters.db.repos.events import Connection
from propdesk.core.calendar import ist_text
from propdesk.model.event_text import TradeEvent, event_text
from propdesk.model.trade_event import Severity

DIGEST_FROM: Final = 10
"""So many messages wait before those that are no more than information are put into one."""
DIGEST_MAX: Final = 20
DIGEST_LENGTH_MAX: Final = 3_500
"""Characters, well within what every channel takes."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """The next message to a recipient.

    Parameters
    ----------
    texts : tuple of str
        One per event; before them what is said of them all, if anything.
    severity : str
    event_ids : list of int
        Rising.
    message_id : str
        Names the message, a repeat alike.
    attempts : int
        With the one under way.
    unknowns : int
        Those before it after which the recipient may have it, deaths in the midst of one among them.
    due_ns : int
        It leaves from then on; later than now: it was not taken.
    """

    texts: tuple[str, ...]
    severity: str
    event_ids: list[int]
    message_id: str
    attempts: int
    unknowns: int
    due_ns: int


@dataclass(frozen=True, slots=True)
class _Open:
    event: TradeEvent
    message_id: str | None
    attempts: int
    unknowns: int
    due_ns: int
    state: str
    preface: str | None = None


def hand_out(
    connection: Connection,
    account_id: str,
    until: int,
    recipients: Mapping[str, Collection[str]],
    now_ns: int,
) -> int:
    """Put down for every new event whom it goes to.

    Parameters
    ----------
    connection : psycopg.Connection
        The caller commits.
    account_id : str
    until : int
        A `Horizon`: no event up to it can be added any more, so that they are handed out in order.
    recipients : mapping of str to collection of str
        Severities by recipient, as configured: what has no channel today waits until it has one.
    now_ns : int

    Returns
    -------
    int
        Messages put down.
    """
    pairs = [(name, severity) for name, severities in recipients.items() for severity in severities]
    done = connection.execute(
        "INSERT INTO trading.notifications (account_id, event_id, recipient, state, attempts, unknowns, "
        "due_ns, changed_ns, reason) "
        "SELECT e.account_id, e.event_id, r.recipient, 'WAITING', 0, 0, %(now)s, %(now)s, '' "
        "FROM trading.trade_events e "
        "JOIN unnest(%(names)s::text[], %(severities)s::text[]) AS r (recipient, severity) "
        "ON r.severity = e.severity "
        "WHERE e.account_id = %(account)s AND NOT e.is_sent AND e.event_id <= %(until)s "
        "AND NOT EXISTS (SELECT FROM trading.notifications n "
        "WHERE n.account_id = e.account_id AND n.event_id = e.event_id)",
        {
            "now": now_ns,
            "names": [name for name, _ in pairs],
            "severities": [severity for _, severity in pairs],
            "account": account_id,
            "until": until,
        },
    )
    connection.execute(
        "UPDATE trading.notifications n SET state = 'DEAD', changed_ns = %s, "
        "reason = 'by the settings, this recipient is no longer told of it' "
        "FROM trading.trade_events e WHERE e.account_id = n.account_id AND e.event_id = n.event_id "
        "AND n.account_id = %s AND n.state IN ('WAITING','SENDING') AND NOT EXISTS ("
        "SELECT FROM unnest(%s::text[], %s::text[]) AS r (recipient, severity) "
        "WHERE r.recipient = n.recipient AND r.severity = e.severity)",
        (now_ns, account_id, [name for name, _ in pairs], [severity for _, severity in pairs]),
    )
    return done.rowcount


def pass_over(
    connection: Connection, account_id: str, reached: Collection[tuple[str, str]], before_ns: int, now_ns: int
) -> int:
    """Pass over what is too old and was never tried; one message to each recipient says so.

    Parameters
    ----------
    connection : psycopg.Connection
        The caller commits.
    account_id : str
    reached : collection of tuple of str and str
        Recipients and severities that a channel takes; of others nothing is passed over.
    before_ns : int
        Events before it are too old, ns UTC.
    now_ns : int

    Returns
    -------
    int
        Messages passed over.

    Notes
    -----
    The message carries the newest critical events, as many as fit, else the newest event. A message that a
    person has retried (`retry_dead`) keeps the reason why it was given up and is never too old. What a lane
    holds just now is its own to send: waiting for it here could wait in a circle, for `claim` takes rows by
    severity, not by number.
    """
    rows = connection.execute(
        "SELECT n.recipient, e.account_id, e.event_id, e.kind, e.severity, e.message, e.payload, e.event_ns "
        "FROM trading.notifications n JOIN trading.trade_events e "
        "ON e.account_id = n.account_id AND e.event_id = n.event_id "
        "JOIN unnest(%s::text[], %s::text[]) AS r (recipient, severity) "
        "ON r.recipient = n.recipient AND r.severity = e.severity "
        "WHERE n.account_id = %s AND n.state = 'WAITING' AND n.attempts = 0 AND n.message_id IS NULL "
        "AND n.reason = '' AND e.event_ns < %s ORDER BY n.event_id FOR UPDATE OF n SKIP LOCKED",
        ([name for name, _ in reached], [severity for _, severity in reached], account_id, before_ns),
    ).fetchall()
    old: dict[str, list[TradeEvent]] = {}
    for recipient, *facts in rows:
        old.setdefault(recipient, []).append(TradeEvent(*facts))
    return sum(
        _pass_over_one(connection, recipient, events, before_ns, now_ns) for recipient, events in old.items()
    )


def _pass_over_one(
    connection: Connection, recipient: str, events: Sequence[TradeEvent], before_ns: int, now_ns: int
) -> int:
    """Pass over all events of a recipient but those that the message about it carries."""
    account_id = events[0].account_id
    critical = [event for event in events if event.severity == Severity.CRITICAL]
    carried: list[TradeEvent] = []
    length = 0
    for event in reversed(critical or events[-1:]):
        length += len(event_text(event))
        if carried and (length > DIGEST_LENGTH_MAX or len(carried) == DIGEST_MAX):
            break
        carried.insert(0, event)
    ids = [event.event_id for event in carried]
    passed = [event.event_id for event in events if event.event_id not in set(ids)]
    connection.execute(
        "UPDATE trading.notifications SET state = 'PASSED', changed_ns = %s, "
        "reason = 'too old when its turn came' "
        "WHERE account_id = %s AND recipient = %s AND event_id = ANY(%s)",
        (now_ns, account_id, recipient, passed),
    )
    if passed:
        kind = "critical ones" if critical else "one"
        preface = (
            f"{len(passed)} of {len(events)} events before {ist_text(before_ns)} were passed over as too "
            f"old; {len(critical)} of them all were critical. The newest {kind}:"
        )
        connection.execute(
            "UPDATE trading.notifications SET message_id = %s, "
            "preface = CASE WHEN event_id = %s THEN %s::text END "
            "WHERE account_id = %s AND recipient = %s AND event_id = ANY(%s)",
            (_message_id(account_id, recipient, ids), ids[0], preface, account_id, recipient, ids),
        )
    return len(passed)


def close_events(connection: Connection, account_id: str, first: int, last: int) -> None:
    """Mark the events of a range that everybody has who is to have them.

    In a transaction of its own, and without waiting: an event that somebody else holds locked is marked at a
    later look, and what became of a message is put down whatever happens here.
    """
    connection.execute(
        "UPDATE trading.trade_events SET is_sent = true WHERE account_id = %s AND event_id IN ("
        "SELECT e.event_id FROM trading.trade_events e "
        "WHERE e.account_id = %s AND NOT e.is_sent AND e.event_id BETWEEN %s AND %s AND NOT EXISTS ("
        "SELECT FROM trading.notifications n "
        "WHERE n.account_id = e.account_id AND n.event_id = e.event_id AND n.state NOT IN ('SENT','PASSED')) "
        "FOR NO KEY UPDATE OF e SKIP LOCKED)",
        (account_id, account_id, first, last),
    )


def claim(
    connection: Connection, account_id: str, recipient: str, wakes_ns: Mapping[str, int], now_ns: int
) -> Parcel | None:
    """Take the next message of a recipient and put down that it is about to leave.

    Parameters
    ----------
    wakes_ns : mapping of str to int
        Severities that can be sent, and from when a channel takes them.

    Returns
    -------
    Parcel or None
        None if nothing waits. One whose ``due_ns`` lies after ``now_ns`` is not taken, only shown.

    Notes
    -----
    In the order of the events: what fails holds up what follows it until it is given up. It does so for its
    own severity alone, since another may go by other channels; and what failed gives way to what is critical.
    A message that was put together once stays as it is, whatever came since.
    """
    heads = _heads(connection, account_id, recipient, wakes_ns)
    if not heads:
        return None
    due = [chosen for chosen in heads if _due_ns(chosen[0], wakes_ns) <= now_ns]
    chosen = min(due, key=_turn) if due else min(heads, key=lambda head: _due_ns(head[0], wakes_ns))
    head = chosen[0]
    ids = [row.event.event_id for row in chosen]
    message_id = head.message_id or _message_id(account_id, recipient, ids)
    unknowns = head.unknowns + (head.state == "SENDING")  # its sender died: it may have left
    if due:
        connection.execute(
            "UPDATE trading.notifications SET state = 'SENDING', attempts = attempts + 1, unknowns = %s, "
            "message_id = %s, changed_ns = %s WHERE account_id = %s AND recipient = %s "
            "AND event_id = ANY(%s)",
            (unknowns, message_id, now_ns, account_id, recipient, ids),
        )
    return Parcel(
        texts=tuple(
            text for row in chosen for text in (row.preface, event_text(row.event)) if text is not None
        ),
        severity=head.event.severity,
        event_ids=ids,
        message_id=message_id,
        attempts=head.attempts + bool(due),
        unknowns=unknowns,
        due_ns=now_ns if due else _due_ns(head, wakes_ns),
    )


def _due_ns(head: _Open, wakes_ns: Mapping[str, int]) -> int:
    """Tell when a message leaves; what was under way when its sender died need not wait but for a channel."""
    own_ns = 0 if head.state == "SENDING" else head.due_ns
    return max(own_ns, wakes_ns[head.event.severity])


def _turn(chosen: Sequence[_Open]) -> tuple[bool, int]:
    head = chosen[0]
    return head.attempts > 0 and head.event.severity != Severity.CRITICAL, head.event.event_id


def _heads(
    connection: Connection, account_id: str, recipient: str, severities: Collection[str]
) -> list[list[_Open]]:
    """Read what may be the next message: one of each severity."""
    rows = connection.execute(
        "SELECT w.* FROM unnest(%s::text[]) AS s (severity) CROSS JOIN LATERAL ("
        "SELECT e.account_id, e.event_id, e.kind, e.severity, e.message, e.payload, e.event_ns, "
        "n.message_id, n.attempts, n.unknowns, n.due_ns, n.state, n.preface "
        "FROM trading.notifications n JOIN trading.trade_events e "
        "ON e.account_id = n.account_id AND e.event_id = n.event_id "
        "WHERE n.account_id = %s AND n.recipient = %s AND n.state IN ('WAITING','SENDING') "
        "AND e.severity = s.severity ORDER BY n.event_id LIMIT %s FOR UPDATE OF n) AS w ORDER BY w.event_id",
        (list(severities), account_id, recipient, DIGEST_MAX),
    ).fetchall()
    waiting = [_Open(TradeEvent(*row[:7]), *row[7:]) for row in rows]
    found = []
    for severity in severities:
        own = [row for row in waiting if row.event.severity == severity]
        others = [row.event.event_id for row in waiting if row.event.severity != severity]
        if own:
            first = own[0].event.event_id
            found.append(_together(own, min((number for number in others if number > first), default=None)))
    return found


def _together(waiting: Sequence[_Open], before: int | None) -> list[_Open]:
    """Choose what goes into the next message: one event, or a run of mere information where many wait.

    The run ends ``before`` an event of another severity.
    """
    head = waiting[0]
    if head.message_id is not None:
        return [row for row in waiting if row.message_id == head.message_id]
    run: list[_Open] = []
    length = 0
    for row in waiting if len(waiting) >= DIGEST_FROM and head.event.severity == Severity.INFO else ():
        length += len(event_text(row.event))
        is_behind = before is not None and row.event.event_id > before
        if is_behind or row.message_id or row.preface or length > DIGEST_LENGTH_MAX:
            break
        run.append(row)
    return run or [head]


def _message_id(account_id: str, recipient: str, event_ids: Sequence[int]) -> str:
    named = "|".join((account_id, recipient, *map(str, event_ids)))
    return hashlib.sha256(named.encode()).hexdigest()[:32].upper()


def settle(
    connection: Connection,
    account_id: str,
    recipient: str,
    event_ids: Sequence[int],
    *,
    state: str,
    now_ns: int,
    unknowns: int,
    channel: str | None = None,
    reason: str = "",
    due_ns: int = 0,
) -> None:
    """Put down what became of a message that was claimed.

    Parameters
    ----------
    state : {"SENT", "WAITING", "DEAD"}
        Taken by a channel, to be tried again from ``due_ns`` on, or given up.
    unknowns : int
        Attempts after which the recipient may have it.
    channel : str, optional
        Which took it.
    reason : str
        Why not; holds no secret.
    """
    connection.execute(
        "UPDATE trading.notifications SET state = %s, unknowns = %s, channel = %s, reason = %s, "
        "due_ns = %s, changed_ns = %s WHERE account_id = %s AND recipient = %s AND event_id = ANY(%s)",
        (state, unknowns, channel, reason, due_ns, now_ns, account_id, recipient, list(event_ids)),
    )


def count_waiting(connection: Connection, account_id: str, pairs: Collection[tuple[str, str]]) -> int:
    """Count the messages that wait, of some recipients and severities."""
    row = connection.execute(
        "SELECT count(*) FROM trading.notifications n JOIN trading.trade_events e "
        "ON e.account_id = n.account_id AND e.event_id = n.event_id "
        "JOIN unnest(%s::text[], %s::text[]) AS r (recipient, severity) "
        "ON r.recipient = n.recipient AND r.severity = e.severity "
        "WHERE n.account_id = %s AND n.state IN ('WAITING','SENDING')",
        ([name for name, _ in pairs], [severity for _, severity in pairs], account_id),
    ).fetchone()
    return int(row[0]) if row else 0


def read_dead(connection: Connection, account_id: str) -> list[dict[str, Any]]:
    """Read the dead letters of an account, the oldest event first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT n.event_id, n.recipient, e.kind, e.severity, e.message, n.attempts, n.reason, "
            "n.changed_ns "
            "FROM trading.notifications n JOIN trading.trade_events e "
            "ON e.account_id = n.account_id AND e.event_id = n.event_id "
            "WHERE n.account_id = %s AND n.state = 'DEAD' ORDER BY n.event_id, n.recipient",
            (account_id,),
        ).fetchall()


def retry_dead(connection: Connection, account_id: str, event_ids: Sequence[int] | None, now_ns: int) -> int:
    """Let dead letters be tried again from the start; of some events, or all. Gives how many."""
    done = connection.execute(
        "UPDATE trading.notifications SET state = 'WAITING', attempts = 0, unknowns = 0, "
        "message_id = NULL, due_ns = %s, changed_ns = %s WHERE account_id = %s AND state = 'DEAD' "
        "AND (%s::bigint[] IS NULL OR event_id = ANY(%s::bigint[]))",
        (now_ns, now_ns, account_id, event_ids, event_ids),
    )
    return done.rowcount


async def take_lead(connection: LiveConnection, account_id: str) -> bool:
    """Try to become the one that sends an account's messages, for as long as the connection lives."""
    digest = hashlib.sha256(f"propdesk-notifier|{account_id}".encode()).digest()
    key = int.from_bytes(digest[:8], "big") >> 1
    row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (key,))).fetchone()
    return bool(row and row[0])
