"""Lots and freeze quantities of index contracts, by the day asked for."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from adapters.contract_sizes import SIZES_FILE, load_contract_sizes
from propdesk.core.errors import ConfigFault


def test_long_dated_contracts_take_the_new_lot_on_the_evening_of_their_conversion() -> None:
    sizes = load_contract_sizes()
    quarterly, monthly = date(2026, 3, 31), date(2026, 1, 27)
    held = [sizes.lot_size("NIFTY", quarterly, day) for day in (date(2025, 12, 30), date(2025, 12, 31))]
    assert held == [75, 65]
    assert sizes.lot_size("NIFTY", monthly, date(2025, 12, 30)) == 65
    assert sizes.lot_size("NIFTY", date(2024, 12, 26), date(2024, 12, 26)) == 25
    assert sizes.lot_size("NIFTY", date(2025, 3, 27), date(2024, 12, 27)) == 75
    assert sizes.lot_size("NIFTY", date(2020, 1, 1), date(2020, 1, 1)) is None
    assert sizes.lot_size("UNKNOWN", monthly, date(2026, 1, 1)) is None


def test_a_lot_table_speaks_before_the_dated_steps() -> None:
    sizes = replace(
        load_contract_sizes(), table={("NIFTY", date(2026, 3, 1)): 70, ("TCS", date(2026, 3, 1)): 175}
    )
    assert sizes.lot_size("NIFTY", date(2026, 3, 10), date(2026, 3, 2)) == 70
    assert sizes.lot_size("NIFTY", date(2026, 4, 7), date(2026, 3, 2)) == 65
    assert sizes.lot_size("TCS", date(2026, 3, 31), date(2026, 3, 2)) == 175


def test_freeze_quantities_by_day() -> None:
    sizes = load_contract_sizes()
    days = (date(2025, 10, 31), date(2025, 11, 3), date(2026, 3, 31), date(2026, 4, 1), date(2026, 7, 1))
    assert [sizes.freeze_quantity("BANKNIFTY", day) for day in days] == [900, 600, 600, 900, 600]
    assert sizes.freeze_quantity("BANKNIFTY", date(2020, 1, 1)) == 0


@pytest.mark.parametrize("word", ["units: 50", "expiry_from: 2021-07-01", "\nfreeze:"])
def test_a_broken_table_is_named(tmp_path: Path, word: str) -> None:
    broken = tmp_path / "contract_sizes.yaml"
    broken.write_text(SIZES_FILE.read_text(encoding="utf-8").replace(word, "wrong: 1", 1), encoding="utf-8")
    with pytest.raises(ConfigFault, match=r"contract_sizes\.yaml"):
        load_contract_sizes(broken)
