"""What numbers are said to be."""

import pytest

from adapters.db.describe import name_unit
from adapters.db.repos.listings import Listing
from propdesk.rules.gates import ADVERSE_GATES, GATES
from web.ui.grid import shape
from web.ui.meanings import COLUMNS, OF_LISTING
from web.ui.pages.rules import in_unit
from web.ui.words import define, listings, title_of


@pytest.mark.parametrize("listing", listings().values(), ids=lambda listing: listing.name)
def test_what_is_shown_in_rupees_is_not_called_paise(listing: Listing) -> None:
    for column in listing.columns:
        if shape(column) == "paise":
            assert "rupees" in define(column.name, listing).text, column.name
            assert "paise" not in define(column.name, listing).text, column.name


@pytest.mark.parametrize("name", [*GATES, *ADVERSE_GATES])
def test_a_gate_is_written_in_its_unit(name: str) -> None:
    meaning = (GATES.get(name) or ADVERSE_GATES[name]).meaning
    shown = in_unit(name, 0.5)
    assert shown.endswith("%") == ("fraction" in meaning or "share" in name), (shown, meaning)
    assert shown.startswith("₹") == ("paise" in meaning), (shown, meaning)


@pytest.mark.parametrize("listing", listings().values(), ids=lambda listing: listing.name)
def test_every_column_has_a_meaning_that_its_title_does_not_tell(listing: Listing) -> None:
    for column in listing.columns:
        meaning = define(column.name, listing)
        assert meaning.title, column.name
        assert meaning.text.casefold() != title_of(column.name).casefold(), column.name
        unit = name_unit(column.name)
        assert meaning.text.partition(";")[0] not in (unit, "in rupees", "in IST"), column.name


def test_a_name_means_what_it_means_where_it_stands() -> None:
    assert "MINI" in define("level", listings()["rules"]).text
    assert "MINI" not in define("level", listings()["risk-levels"]).text
    assert "OFF" in define("change", listings()["rule-changes"]).text
    assert "EDITED" in define("change", listings()["signal-log"]).text


def test_no_meaning_is_kept_of_a_column_that_is_not_there() -> None:
    every = {(listing.name, column.name) for listing in listings().values() for column in listing.columns}
    assert set(OF_LISTING) <= every
    assert set(COLUMNS) <= {name for _, name in every}


def test_moments_are_said_to_be_shown_as_they_are() -> None:
    assert define("raised_ns", listings()["risk-levels"]).text == "When it was raised; in IST"


@pytest.mark.parametrize("listing", listings().values(), ids=lambda listing: listing.name)
def test_no_two_columns_beside_one_another_have_one_title(listing: Listing) -> None:
    titles = [title_of(column.name) for column in listing.columns]
    double = {title for title in titles if titles.count(title) > 1}
    # The same moment, kept once more in ns, or the day of it.
    assert double <= {"Decided", "Entry", "Exit"}, double
