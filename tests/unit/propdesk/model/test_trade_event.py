"""Every kind of event that any part can raise is known, with its severity."""

import re
from pathlib import Path

from adapters.db.schema.triggers import TRIGGERS
from propdesk.model.trade_event import EVENTS, EventKind

ROOT = Path(__file__).resolve().parents[4]
SPECIFIED = {
    "ENTRY_PLACED", "ENTRY_FILLED", "ENTRY_REJECTED", "STOPLOSS_HIT", "TARGET_HIT", "EXIT_COMPLETED",
    "SL_UPDATED", "KILL_SWITCH", "HALT", "HEARTBEAT_LOST", "DAILY_SUMMARY",
}  # fmt: skip


def test_every_kind_has_its_facts_and_the_specified_ones_are_there() -> None:
    assert set(EVENTS) == set(EventKind)
    assert set(EventKind) >= SPECIFIED


def test_the_page_on_messages_lists_every_event_with_its_severity_and_meaning() -> None:
    page = (ROOT / "docs" / "notifications.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z_]+) \| (\w+) \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(kind.value, facts.severity.value, facts.meaning) for kind, facts in EVENTS.items()]


def test_what_the_triggers_and_the_sensors_raise_is_known() -> None:
    events = [sql for sql in TRIGGERS if "INSERT INTO trading.trade_events" in sql]
    raised = {word for sql in events for word in re.findall(r"'([A-Z]+_[A-Z_]+)'", sql)}
    raised -= {"TRAILED_STOP"}  # a reason to exit
    places = (ROOT / "orchestration" / "sensors.py", ROOT / "adapters" / "db" / "repos" / "dead_man.py")
    said = "".join(place.read_text(encoding="utf-8") for place in places)
    alerts = set(re.findall(r'"([A-Z]+_[A-Z]+|STALE)"', said))
    assert len(events) == 5
    assert alerts == {"RUN_FAILURE", "HEARTBEAT_LOST", "STALE"}
    elsewhere = {"ENTRY_REJECTED", "KILL_SWITCH", "HALT", "HEARTBEAT_LOST"}
    assert raised == SPECIFIED - elsewhere | {"COMMAND_ANSWERED"}
    assert alerts <= set(EventKind)
