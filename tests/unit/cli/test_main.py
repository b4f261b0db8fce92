"""Exit codes and the way faults, tables and JSON are shown."""

import json
import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import typer

import cli.main
from adapters.settings import NotConfigured
from cli.main import exit_code_of, main
from cli.output import NotRunning, emit, parse_day, say, show_table
from propdesk.core.errors import (
    BrokerFault,
    ConfigFault,
    DataFault,
    InvariantViolated,
    LimitFault,
    PropdeskError,
)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (PropdeskError("x"), 1),
        (BrokerFault("x"), 1),
        (DataFault("x"), 2),
        (LimitFault("x"), 2),
        (ConfigFault("x"), 2),
        (NotConfigured("x"), 3),
        (NotRunning("x"), 3),
    ],
)
def test_each_fault_has_its_exit_code(fault: PropdeskError, code: int) -> None:
    assert exit_code_of(fault) == code


def app_that(raises: BaseException) -> typer.Typer:
    app = typer.Typer()

    @app.callback()
    def root() -> None:
        """Nothing."""

    @app.command()
    def work() -> None:
        raise raises

    return app


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (ConfigFault("The file [x] is empty."), 2, "The file [x] is empty."),
        (NotRunning("Start it first."), 3, "Start it first."),
        (typer.Exit(7), 7, ""),
        (KeyboardInterrupt(), 130, ""),
        (typer.Abort(), 130, ""),
    ],
)
def test_a_fault_is_one_sentence_on_standard_error(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(cli.main, "build", lambda: app_that(raised))
    assert main(["work"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err


@pytest.mark.parametrize("defect", [InvariantViolated("x"), ZeroDivisionError("x")])
def test_a_defect_keeps_its_trace(monkeypatch: pytest.MonkeyPatch, defect: BaseException) -> None:
    monkeypatch.setattr(cli.main, "build", lambda: app_that(defect))
    with pytest.raises(type(defect)):
        main(["work"])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nonsense"], "nonsense"),
        (["status", "--nonsense"], "--nonsense"),
        (["up", "--per-day", "many"], "--per-day"),
        (["up", "--per-day", "0"], "--per-day"),
    ],
)
def test_wrong_words_end_with_two_and_are_named(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert named in shown.err


def test_days_out_of_order_or_malformed_are_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--first", "2025-06-31"]) == 2
    assert main(["up", "--first", "2025-07-01", "--last", "2025-06-30"]) == 2
    assert "--first: '2025-06-31' is no day" in capsys.readouterr().err
    assert parse_day("2024-02-29", "--first") == date(2024, 2, 29)


def test_json_is_exactly_one_object_with_nulls_for_what_is_undefined(
    capsys: pytest.CaptureFixture[str],
) -> None:
    emit(
        {
            "nan": math.nan,
            "infinite": [-math.inf, 1.5],
            "numpy": np.float64("nan"),
            "count": np.int64(7),
            "day": date(2025, 1, 2),
            "path": Path("/x"),
            "text": "₹ [b]",
            "flag": True,
            "none": None,
        }
    )
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert json.loads(shown) == {
        "nan": None,
        "infinite": [None, 1.5],
        "numpy": None,
        "count": 7,
        "day": "2025-01-02",
        "path": "/x",
        "text": "₹ [b]",
        "flag": True,
        "none": None,
    }


def test_tables_show_brackets_as_text_and_none_as_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("A [table]", ("name", "value"), [("[bold]x", 1), (None, None)])
    shown = capsys.readouterr().out
    assert "[bold]x" in shown
    assert "A [table]" in shown
    assert "–" in shown


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    say("half [50 %]")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "half [50 %]" in shown.err
