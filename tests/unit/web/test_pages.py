"""What a request may ask of a listing: everything else is refused before SQL is made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.db.repos.listings import FILTERABLE, SORTABLE, Kind, load_listings
from adapters.db.repos.pages import FILTERS_MAX, PAGE_ROWS_MAX, SORTS_MAX, BadQuery, make_query

LISTINGS = {listing.name: listing for listing in load_listings()}
RULES = LISTINGS["rules"]


def test_every_listing_has_a_key_an_order_and_a_name_of_its_own() -> None:
    assert len(LISTINGS) == len(load_listings())
    for listing in LISTINGS.values():
        names = [column.name for column in listing.columns]
        assert len(set(names)) == len(names)
        assert set(listing.key) <= set(names)
        assert not any(listing.column(name).is_nullable for name in listing.key)
        order = make_query(listing).order
        assert set(listing.key) <= {term.column.name for term in order}
        assert (listing.newest_of is None) == ("marts" not in listing.source)


def test_no_listing_shows_an_account_or_bytes() -> None:
    assert not any(column.name == "account_id" for listing in LISTINGS.values() for column in listing.columns)
    assert LISTINGS["signal-log"].columns[-1].name == "content_hash"  # its hashes are bytes


def test_the_key_follows_in_the_direction_of_the_first_word() -> None:
    order = make_query(RULES, sort="-n,advisor_id").order
    assert [(term.column.name, term.is_descending) for term in order] == [
        ("n", True),
        ("advisor_id", False),
        ("as_of_date", True),
        ("rule_text", True),
    ]


@pytest.mark.parametrize(
    "sort",
    [
        "",
        "profit",
        "n;DROP TABLE x",
        "n desc",
        "--n",
        "n,",
        '"n"',
        "(select 1)",
        "desk_failed_gates",
        ",".join(["n"] * (SORTS_MAX + 1)),
    ],
)
def test_an_order_by_anything_else_is_refused(sort: str) -> None:
    with pytest.raises(BadQuery):
        make_query(RULES, sort=sort or ",")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "n",
        "n~3",
        "n=three",
        "n=1.5",
        f"n={2**63}",
        "profit=1",
        "account_id=other",
        "n OR 1=1",
        "n=1\x00",
        "category=a\x00b",
        "as_of_date=2025-13-01",
        "desk_passes=maybe",
        "n>null",
        "desk_failed_gates>sharpe",
        "1=1",
        "category=" + "x" * 201,
    ],
)
def test_a_filter_by_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadQuery):
        make_query(RULES, filters=[text])


@pytest.mark.parametrize("limit", [0, -1, PAGE_ROWS_MAX + 1])
def test_a_page_has_its_bounds(limit: int) -> None:
    with pytest.raises(BadQuery, match="between 1 and"):
        make_query(RULES, limit=limit)
    with pytest.raises(BadQuery, match="filters"):
        make_query(RULES, filters=["n>1"] * (FILTERS_MAX + 1))


@given(text=st.text(max_size=80))
def test_no_text_is_a_cursor_unless_we_wrote_it(text: str) -> None:
    with pytest.raises(BadQuery, match="cursor"):
        make_query(RULES, cursor=text)


@given(
    st.sampled_from(sorted(LISTINGS)),
    st.text(alphabet="abn_-,=<>!'\";() \x00%0", max_size=40),
    st.text(alphabet="abn_-,=<>!'\";() \x00%0", max_size=40),
)
def test_only_names_of_the_listing_get_through(name: str, condition: str, sort: str) -> None:
    listing = LISTINGS[name]
    try:
        query = make_query(listing, filters=[condition], sort=sort or None)
    except BadQuery:
        return
    known = {column.name: column.kind for column in listing.columns}
    assert all(known[f.column.name] in FILTERABLE for f in query.filters)
    assert all(known[term.column.name] in SORTABLE for term in query.order)


def test_lists_are_asked_for_what_they_hold() -> None:
    (condition,) = make_query(RULES, filters=["desk_failed_gates=sharpe"]).filters
    assert (condition.column.kind, condition.value) == (Kind.TEXTS, "sharpe")
