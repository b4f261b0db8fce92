import pytest

from adapters.db.repos.listings import Listing
from web.ui.pages import PAGES
from web.ui.words import define, listings


def test_no_two_pages_share_a_path_or_a_name_in_the_menu() -> None:
    assert len({page.path for page in PAGES}) == len(PAGES)
    names = [page.menu for page in PAGES if page.menu]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("listing", listings().values(), ids=lambda listing: listing.name)
def test_every_column_has_a_title_and_a_meaning_of_its_own(listing: Listing) -> None:
    for column in listing.columns:
        meaning = define(column.name)
        assert meaning.title, column.name
        assert meaning.text, column.name
