"""Who may do what in the database (docs/decisions: schemas and roles).

The daemon reads marts, reference and research data and writes its own schemas; pre-market runs as the
daemon and also writes ``ref``. The pipeline never writes ``trading`` or ``audit``. A reader serves the
surfaces; users and their sessions are open to the API's own role alone, which also asks commands of the
daemon, and answers none. Whoever sends messages to people sees the events and what became of each, nothing
of the books. What must stay as it was heard
(landed rows, the signal log), and what was tried (the trial ledger), nobody but the owner can change.
"""

from typing import Final

from sqlalchemy import Connection, text

OWNER: Final = "propdesk_owner"
PIPELINE: Final = "propdesk_pipeline"
DAEMON: Final = "propdesk_daemon"
READER: Final = "propdesk_reader"
ACCESS: Final = "propdesk_access"
NOTIFIER: Final = "propdesk_notifier"

_READ: Final = "SELECT"
_WRITE: Final = "SELECT, INSERT, UPDATE, DELETE"
_APPEND: Final = "SELECT, INSERT"

RIGHTS: Final[dict[str, dict[str, str]]] = {
    PIPELINE: {
        "raw": _WRITE,
        "ref": _WRITE,
        "research": _WRITE,
        "trading": _READ,
        "staging": _READ,
        "intermediate": _READ,
        "marts": _READ,
    },
    DAEMON: {
        "raw": _READ,
        "ref": _WRITE,
        "research": _READ,
        "trading": _WRITE,
        "audit": _APPEND,
        "staging": _READ,
        "intermediate": _READ,
        "marts": _READ,
    },
    READER: dict.fromkeys(
        ("raw", "ref", "research", "trading", "audit", "staging", "intermediate", "marts"), _READ
    ),
    ACCESS: {"access": _WRITE, "audit": _APPEND},
    NOTIFIER: {},
}
"""Rights per role and schema; a schema not named is closed to the role."""

_ASK: Final = "SELECT, INSERT (account_id, asked_by, role, door, kind, arguments, idempotency_key)"
_ANSWER: Final = (
    "SELECT, UPDATE (state, answer, answered_at, journal_date, journal_seq, ask_audited_at, audited_at)"
)

TABLE_RIGHTS: Final[dict[str, dict[str, str]]] = {
    PIPELINE: {
        "raw.landed_rows": _APPEND,
        "raw.signal_log": _APPEND,
        "research.trial_ledger": _APPEND,
    },
    DAEMON: {"raw.signal_log": _APPEND, "trading.commands": _ANSWER},
    ACCESS: {"trading.commands": _ASK},
    NOTIFIER: {
        "trading.trade_events": "SELECT, UPDATE (is_sent)",
        "trading.notifications": "SELECT, INSERT, UPDATE",
    },
}
"""Rights on single tables, in place of those of their schema (which is opened no further)."""

_DBT_SCHEMAS: Final = ("staging", "intermediate", "marts")


def apply_grants(connection: Connection) -> None:
    """Give every role its rights on the tables of today and later; absent roles are passed over.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        As the owner of the schemas, in a transaction.
    """
    found = connection.execute(
        text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)"), {"names": list(RIGHTS)}
    )
    for role in sorted(row[0] for row in found):
        for schema, rights in RIGHTS[role].items():
            for statement in _statements(role, schema, rights):
                connection.execute(text(statement))
        for table, rights in TABLE_RIGHTS.get(role, {}).items():
            connection.execute(text(f"GRANT USAGE ON SCHEMA {table.partition('.')[0]} TO {role}"))
            connection.execute(text(f"REVOKE ALL ON {table} FROM {role}"))
            connection.execute(text(f"GRANT {rights} ON {table} TO {role}"))


def _statements(role: str, schema: str, rights: str) -> list[str]:
    statements = [
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}",
        f"GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {rights} ON TABLES TO {role}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE ON SEQUENCES TO {role}",
    ]
    if schema not in _DBT_SCHEMAS:
        return statements
    if role == PIPELINE:
        return [f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}"]  # dbt makes and owns these tables
    return statements[:1]  # opened by their maker: `open_marts`


def marts_grants(roles: set[str]) -> list[str]:
    """List the statements by which the pipeline opens the dbt schemas to those who read them.

    Parameters
    ----------
    roles : set of str
        Roles that exist in the cluster.

    Returns
    -------
    list of str
        Default rights for what the executing role creates from now on.
    """
    return [
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}"
        for role in (OWNER, DAEMON, READER)
        if role in roles
        for schema in _DBT_SCHEMAS
    ]


def open_marts(connection: Connection) -> None:
    """Let daemon and readers see the tables that dbt makes from now on; called before each dbt run.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        As the role under which dbt runs: only the maker of a table can set its default rights.
    """
    rows = connection.execute(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'propdesk%'"))
    for statement in marts_grants({row[0] for row in rows}):
        connection.execute(text(statement))
