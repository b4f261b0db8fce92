from propdesk.intake.document import document_hash
from propdesk.model.live import InboxRow
from propdesk.model.messages import FollowupReceived, SignalReceived
from tests.unit.trading_daemon.test_replay_driver import document
from trading_daemon.documents import Stamp, event_of, read_document, received_ns_of

NOW = 1_751_344_200_000_000_000


def test_a_live_document_is_received_now_a_replayed_one_at_its_own_time() -> None:
    one = document("m", "2025-07-01T09:30:00+05:30")
    assert read_document(one, NOW, Stamp.CLOCK).received_ns == NOW
    assert read_document(one, NOW, Stamp.DOCUMENT).received_ns == received_ns_of(one) != NOW


def test_the_moment_of_receipt_and_the_stores_id_are_no_content() -> None:
    one = document("m", "2025-07-01T09:30:00+05:30")
    assert document_hash(one) == document_hash({**one, "_id": "x", "received_at": "later"})
    assert document_hash(one) != document_hash({**one, "side": "SELL"})


def test_an_unreadable_document_is_kept_with_its_reason_and_no_event() -> None:
    row = read_document(document("m", "2025-07-01T09:30:00+05:30", side="UP"), NOW, Stamp.CLOCK)
    assert row.record_id is None
    assert row.rejected_code == "BAD_SIDE"
    assert event_of(_stored(row, rejected=row.rejected_code), None) is None


def test_a_stored_document_gives_the_same_event_as_when_it_came() -> None:
    row = read_document(document("m", "2025-07-01T09:30:00+05:30"), NOW, Stamp.CLOCK)
    event = event_of(_stored(row, revision=2), None)
    assert isinstance(event, SignalReceived)
    assert (event.signal.signal_id, event.signal.revision, event.inbox_id) == (row.record_id, 2, 7)
    assert event.signal.received_ns == NOW


def test_a_followup_becomes_its_own_event() -> None:
    said = {
        "kind": "FOLLOWUP", "source": "test", "source_message_id": "f", "advisor_id": "A01",
        "posted_at": "2025-07-01T09:40:00+05:30", "refers_to": "m", "followup_kind": "EXIT",
    }  # fmt: skip
    row = read_document(said, NOW, Stamp.CLOCK)
    assert row.kind == "FOLLOWUP"
    assert isinstance(event_of(_stored(row), None), FollowupReceived)


def _stored(row: object, *, revision: int = 1, rejected: str | None = None) -> InboxRow:
    from propdesk.model.live import NewInboxRow

    assert isinstance(row, NewInboxRow)
    return InboxRow(7, row.source_key, revision, row.content_hash, row.document, row.received_ns, rejected)
