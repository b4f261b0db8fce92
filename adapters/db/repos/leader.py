"""Leadership: one daemon per account, proved by a lock and fenced by an epoch (§5.1, §5.7)."""

import hashlib
from datetime import datetime

import psycopg

from adapters.db.live import LiveConnection
from propdesk.core.errors import PropdeskError


class AlreadyRunning(PropdeskError):
    """Another daemon holds this account."""


class LeadershipLost(PropdeskError):
    """The connection that holds the lock is gone, or a newer daemon took over."""


def lock_key(account_id: str) -> int:
    """Advisory-lock number of an account: 63 bits of a hash of its name."""
    digest = hashlib.sha256(f"propdesk-daemon|{account_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Leadership:
    """Session-level advisory lock on a connection of its own, and the epoch it gave.

    Parameters
    ----------
    connection : AsyncConnection
        Dedicated: whoever closes it gives up the lock.
    account_id : str
    epoch : int
        Rises by one with every holder; checked in the SQL of each claim.
    """

    def __init__(self, connection: LiveConnection, account_id: str, epoch: int) -> None:
        self._connection = connection
        self._account_id = account_id
        self.epoch = epoch

    async def verify(self) -> None:
        """Check that the lock's connection lives and no newer epoch exists.

        Raises
        ------
        LeadershipLost
            If either is not so; no order may be sent any more.
        """
        try:
            cursor = await self._connection.execute(
                "SELECT epoch FROM trading.leader_epochs WHERE account_id = %s", (self._account_id,)
            )
            row = await cursor.fetchone()
        except psycopg.Error as error:
            raise LeadershipLost(
                f"The connection that proves leadership of account {self._account_id} is lost ({error}): "
                "no order is sent any more; the process ends and its supervisor starts it anew."
            ) from error
        if row is None or row[0] != self.epoch:
            raise LeadershipLost(
                f"Another daemon took over account {self._account_id} (epoch {row[0] if row else '?'}, "
                f"ours was {self.epoch}): this one ends."
            )

    async def release(self) -> None:
        """Give up the lock by closing its connection."""
        await self._connection.close()


async def take_leadership(
    connection: LiveConnection, account_id: str, holder: str, taken_at: datetime
) -> Leadership | None:
    """Try to become the one daemon of an account.

    Parameters
    ----------
    connection : AsyncConnection
        Dedicated to the lock.
    holder : str
        Host and pid, told to whoever is refused.

    Returns
    -------
    Leadership or None
        None while another session holds the lock.
    """
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (lock_key(account_id),))
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return None
    cursor = await connection.execute(
        "INSERT INTO trading.leader_epochs (account_id, epoch, holder, taken_at) VALUES (%s, 1, %s, %s) "
        "ON CONFLICT (account_id) DO UPDATE SET epoch = trading.leader_epochs.epoch + 1, "
        "holder = EXCLUDED.holder, taken_at = EXCLUDED.taken_at RETURNING epoch",
        (account_id, holder, taken_at),
    )
    taken = await cursor.fetchone()
    assert taken is not None  # noqa: S101 - an upsert always returns its row
    return Leadership(connection, account_id, int(taken[0]))


async def refusal(connection: LiveConnection, account_id: str) -> AlreadyRunning:
    """Say who holds the account."""
    cursor = await connection.execute(
        "SELECT holder, taken_at FROM trading.leader_epochs WHERE account_id = %s", (account_id,)
    )
    row = await cursor.fetchone()
    who = f"{row[0]} since {row[1]:%Y-%m-%d %H:%M:%S} UTC" if row else "another process"
    return AlreadyRunning(
        f"A trading daemon of account {account_id} already runs ({who}): only one may trade an account. "
        "Stop it with `python3 run.py down`, or set PROPDESK_ACCOUNT_ID to another account."
    )
