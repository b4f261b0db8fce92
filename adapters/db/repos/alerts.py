"""Alerts of the pipeline: told once each."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a person must hear of.

    Parameters
    ----------
    account_id : str
        Whose people are told.
    kind : str
        Upper case, e.g. ``RUN_FAILURE``, ``HEARTBEAT_LOST``, ``STALE``.
    subject : str
        What it is about; with ``kind`` it names the matter, so give a day or run with it.
    severity : {"critical", "warning", "info"}
    message : str
        One sentence for a person.
    raised_at : datetime
        Aware.
    run_id : str, optional
        Of Dagster.
    """

    account_id: str
    kind: str
    subject: str
    severity: Severity
    message: str
    raised_at: datetime
    run_id: str | None = None


def raise_alert(connection: "psycopg.Connection[Any]", alert: Alert) -> bool:
    """Store an alert unless the same matter was told already.

    Parameters
    ----------
    connection : psycopg.Connection
        The caller commits.
    alert : Alert

    Returns
    -------
    bool
        True if it is new.
    """
    done = connection.execute(
        "INSERT INTO ref.alerts (alert_id, account_id, kind, severity, subject, message, run_id, raised_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (alert_id) DO NOTHING",
        (
            f"{alert.kind}:{alert.subject}",
            alert.account_id,
            alert.kind,
            alert.severity,
            alert.subject,
            alert.message,
            alert.run_id,
            alert.raised_at,
        ),
    )
    return done.rowcount == 1
