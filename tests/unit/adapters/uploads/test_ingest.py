from datetime import date, datetime

import pytest

from adapters.calendar import load_calendar
from adapters.db.repos.uploads import IncomingRow
from adapters.uploads.ingest import Sorter
from adapters.uploads.readers import Row
from propdesk.core.clock import NS_PER_SECOND, to_ns
from propdesk.intake import DOCUMENT_PROFILE, DerivativeListings, IntakeTimes

LAST_LISTED = date(2026, 8, 4)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ("2026-08-04T15:10:00", date(2026, 8, 4)),
        ("2026-08-04T15:20:00", date(2026, 8, 5)),
        ("2026-08-05T15:20:00", date(2026, 8, 5)),
    ],
)
def test_a_share_is_dated_by_whether_its_derivatives_are_listed_on_the_day_of_receipt(
    received: str, expected: date
) -> None:
    """Since 3 August 2026 a share with derivatives closes at 15:15."""
    sorter = Sorter(
        DOCUMENT_PROFILE,
        load_calendar(),
        IntakeTimes(to_ns(datetime.fromisoformat("2026-08-10T10:00:00+05:30")), 0, 5 * NS_PER_SECOND),
        first_day=date(2025, 1, 1),
        listings=DerivativeListings({"TCS": [(date(2025, 1, 1), LAST_LISTED)]}),
        field_length_max=1_000,
    )
    fields = {
        "kind": "SIGNAL", "source_message_id": "m", "advisor_id": "A1", "posted_at": f"{received}+05:30",
        "received_at": f"{received}+05:30", "category": "NSE_EQ", "symbol": "TCS", "side": "BUY",
        "entry_low": "100",
    }  # fmt: skip
    (found,) = sorter.sort(Row(1, fields))
    assert isinstance(found, IncomingRow)
    assert found.trade_date == expected
