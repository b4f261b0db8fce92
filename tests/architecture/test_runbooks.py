"""Every cause of a kill level has its page for people."""

import re
from pathlib import Path

import pytest

from propdesk.risk.kill_switch import RESET_RULES, Cause

BOOKS = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
SECTIONS = ["What it means", "What the system already did", "What to do", "How to return"]


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_its_page_and_its_way_to_end(cause: Cause) -> None:
    name = f"{cause.value.lower().replace('_', '-')}.md"
    text = (BOOKS / name).read_text(encoding="utf-8")
    assert text.startswith(f"# {cause.value}: ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert all(part.strip() for part in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:])
    assert f"[{cause.value}]({name})" in (BOOKS / "README.md").read_text(encoding="utf-8")
    assert cause in RESET_RULES


def test_no_page_is_of_a_cause_that_is_gone() -> None:
    named = {f"{cause.value.lower().replace('_', '-')}.md" for cause in Cause}
    assert {page.name for page in BOOKS.glob("*.md")} == {*named, "README.md", "heartbeat-lost.md"}
