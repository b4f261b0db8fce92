"""What numbers are said to be."""

import pytest

from adapters.db.repos.listings import Listing
from propdesk.rules.gates import ADVERSE_GATES, GATES
from web.ui.grid import shape
from web.ui.pages.rules import in_unit
from web.ui.words import define, listings


@pytest.mark.parametrize("listing", listings().values(), ids=lambda listing: listing.name)
def test_what_is_shown_in_rupees_is_not_called_paise(listing: Listing) -> None:
    for column in listing.columns:
        if shape(column) == "paise":
            assert "rupees" in define(column.name).text, column.name
            assert "paise" not in define(column.name).text, column.name


@pytest.mark.parametrize("name", [*GATES, *ADVERSE_GATES])
def test_a_gate_is_written_in_its_unit(name: str) -> None:
    meaning = (GATES.get(name) or ADVERSE_GATES[name]).meaning
    shown = in_unit(name, 0.5)
    assert shown.endswith("%") == ("fraction" in meaning or "share" in name), (shown, meaning)
    assert shown.startswith("₹") == ("paise" in meaning), (shown, meaning)
