from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.intake.fields import (
    paise_text_to_rupees,
    parse_date,
    parse_fraction,
    parse_price,
    parse_targets,
    parse_time,
)


@pytest.mark.parametrize(
    ("text", "paise"),
    [
        ("142", 14_200),
        ("142.5", 14_250),
        ("0.05", 5),
        ("1,23,456.50", 12_345_650),
        ("1,234", 123_400),
        ("142.125", 14_213),
        ("10000000", 1_000_000_000),
    ],
)
def test_prices(text: str, paise: int) -> None:
    assert parse_price(text) == paise


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "inf",
        "-Infinity",
        "-5",
        "+5",
        "0",
        "0.00",
        "0.001",
        "1e308",
        "1e400",
        "1e-400",
        "-0",
        "0x10",
        "1_000",
        "10000000.01",
        "9" * 5000,
        "１４２",
        "١٢",
        "142,5",
        "12,34",
        "110,120",
        "1,234,567",
        "Rs 5",
        "₹5",
        "=1+1",
        "5 ",
        "1.2.3",
        ".",
        "TRUE",
    ],
)
def test_what_is_no_price(text: str) -> None:
    assert parse_price(text) is None


@given(st.integers(1, 1_000_000_000))
def test_prices_round_trip(paise: int) -> None:
    assert parse_price(f"{paise // 100}.{paise % 100:02d}") == paise


def test_paise_become_rupees() -> None:
    assert paise_text_to_rupees("14205") == "142.05"
    assert paise_text_to_rupees("14205.0") == "142.05"
    assert paise_text_to_rupees("142.05") is None


def test_targets() -> None:
    assert parse_targets("142/171 | 200") == (14_200, 17_100, 20_000)
    assert parse_targets("142//200") == (14_200, None, 20_000)


@pytest.mark.parametrize("text", ["0", "1.5", "101%", "0%", "-0.5", "half", "5", "1e-1"])
def test_what_is_no_fraction(text: str) -> None:
    assert parse_fraction(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-02T09:20:00+05:30",
        "2025-01-02 09:20:00",
        "2025-01-02T03:50:00Z",
        "2025-01-02 09:20",
        "2025-01-02 09:20:00.000+0530",
    ],
)
def test_moments_agree(text: str) -> None:
    assert parse_time(text, (), 330) == 1_735_789_800_000_000_000


@pytest.mark.parametrize(
    "text",
    [
        "04/05/2026 10:00",
        "2025-02-30 10:00",
        "2025-01-02 24:00",
        "2025-01-02",
        "1735789800",
        "1735789800000",
        "1970-01-01T00:00:00Z",
        "2025-13-01 10:00",
        "２０２５-01-02 09:20",
        "yesterday",
        "2025-01-02T09:20:00+99:00",
    ],
)
def test_what_is_no_moment(text: str) -> None:
    assert parse_time(text, (), 330) is None


def test_a_profile_s_format_is_taken_literally() -> None:
    assert parse_time("04/05/2026 10:00", ("%d/%m/%Y %H:%M",), 330) == parse_time("2026-05-04 10:00", (), 330)
    assert parse_date("04/05/2026", ("%d/%m/%Y",)) == date(2026, 5, 4)
    assert parse_date("04/05/2026") is None
    assert parse_date("2025-02-29") is None
