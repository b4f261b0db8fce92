import pytest

from web.ui.downloads import line, table


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_text_that_a_spreadsheet_would_compute_is_prefixed(begin: str) -> None:
    assert line([f"{begin}1", "a"]).lstrip('"').startswith(f"'{begin}")


def test_numbers_absence_and_structures_are_written_as_they_are() -> None:
    assert line([-5, -0.5, None, True, ["=a"]]) == '-5,-0.5,,True,"[""=a""]"\r\n'


def test_quotes_and_line_breaks_stay_within_their_cell() -> None:
    assert table(["a"], [['x"y\nz']]) == 'a\r\n"x""y\nz"\r\n'
