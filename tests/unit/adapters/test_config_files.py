from pathlib import Path

import pytest

from adapters.config_files import CONFIG_DIR, load_charges, load_margins, load_slippage
from propdesk.core.errors import ConfigFault
from propdesk.model.enums import Category
from propdesk.risk.charges import ChargeSegment, Component
from propdesk.risk.margin import MarginKind


def test_shipped_tables_cover_every_kind() -> None:
    charges, margins, slippage = load_charges(), load_margins(), load_slippage()
    by_segment = {(rate.component, rate.segment) for rate in charges.rates}
    for segment in ChargeSegment:
        for component in (
            Component.BROKERAGE,
            Component.STT_SELL,
            Component.TRANSACTION,
            Component.STAMP_BUY,
        ):
            assert (component, segment) in by_segment
    assert {rate.kind for rate in margins.rates} == set(MarginKind)
    assert set(slippage.rates) == set(Category)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- a list", "must hold a mapping"),
        ("a: [", "not readable YAML"),
        ("version: 1\ngst_percent: 18\ndepository: '1'\nrates: [{component: TAX}]", "cannot be used"),
        (
            "version: 1\ngst_percent: 18\ndepository: '1'\n"
            "rates: [{component: SEBI, segment: FUTURES, since: 2020-01-01, pct: '1', per_crore: '1'}]",
            "exactly one of pct and per_crore",
        ),
        (
            "version: 1\ngst_percent: 18\ndepository: '1'\n"
            "rates: [{component: SEBI, segment: FUTURES, since: soon, pct: '1'}]",
            "since must be a date",
        ),
        (
            "version: 1\ngst_percent: 18\ndepository: '1'\n"
            "rates: [{component: SEBI, segment: FUTURES, since: 2020-01-01, pct: '-1'}]",
            "negative or finer",
        ),
    ],
)
def test_unusable_charges_are_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "charges.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigFault, match=sentence):
        load_charges(file)


def test_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match="cannot be read"):
        load_margins(tmp_path / "margins.yaml")


def test_slippage_needs_every_category(tmp_path: Path) -> None:
    file = tmp_path / "slippage.yaml"
    text = (CONFIG_DIR / "slippage.yaml").read_text(encoding="utf-8")
    file.write_text(
        "\n".join(line for line in text.splitlines() if "STOCK_OPT" not in line), encoding="utf-8"
    )
    with pytest.raises(ConfigFault, match="no rate for STOCK_OPT"):
        load_slippage(file)
