import pytest

from propdesk.intake.oneline import parse_calls

INDICES = frozenset({"NIFTY", "NIFTY50", "BANKNIFTY", "NIFTYBANK"})


def one(text: str) -> dict[str, str] | None:
    calls = parse_calls(text, INDICES)
    assert len(calls) == 1
    return None if calls[0] is None else calls[0].fields


def test_the_call_of_the_specification() -> None:
    assert one("BUY X ABOVE 142 SL 127 TGT 171/200") == {
        "side": "BUY",
        "symbol": "X",
        "category": "NSE_EQ",
        "entry_type": "STOP",
        "entry_low": "142",
        "entry_high": "142",
        "stoploss": "127",
        "targets": "171/200",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "CASH-BUY HEROMOTOCO ABOVE 2590 TGT 2610-2630-SL 2570",
            {"targets": "2610/2630", "stoploss": "2570"},
        ),
        ("FUTURES-BUY MCDOWELL-N ABOVE 607 TGT 611", {"symbol": "MCDOWELL-N", "category": "STOCK_FUT"}),
        (
            "OPTION TRADE : BUY HDFC 1060 CE 25 JUNE AT 9 SL 3 TARGET 20",
            {"strike": "1060", "option_type": "CE", "expiry": "DAY-06-25", "entry_type": "LIMIT"},
        ),
        (
            "BUY ACC NSE JUL FUT ABOVE 1320.00 WITH THE SL OF 1306.00",
            {"expiry": "MONTH-07", "entry_low": "1320.00"},
        ),
        ("SELL NIFTY FUT BELOW 23000 SL 23100", {"entry_type": "STOP", "category": "INDEX_FUT"}),
        ("SELL TCS ABOVE 3000", {"entry_type": "LIMIT"}),
        ("BUY TCS 140-144 SL 130", {"entry_type": "RANGE", "entry_low": "140", "entry_high": "144"}),
        ("BUY TCS AT CMP SL 130", {"entry_type": "MARKET"}),
        ("buy nifty 25000 call weekly near 80", {"expiry": "CURRENT_WEEKLY", "category": "INDEX_OPT"}),
        ("BUY BANK NIFTY 52000 PE NEAR 140-144 SL 0 TGT 30/70 POINTS", {"targets": "174.00/214.00"}),
        ("INTRADAY BUY TCS AT 100", {"period": "INTRADAY"}),
        ("BUY 2 LOTS OF ACC JUL FUT AT 1300", {"symbol": "ACC", "entry_low": "1300"}),
        ("BUY X\nABOVE 142\nSL 127\nTGT 171", {"stoploss": "127", "targets": "171"}),
    ],
)
def test_shapes_seen_in_real_messages(text: str, expected: dict[str, str]) -> None:
    fields = one(text)
    assert fields is not None
    assert {name: fields.get(name) for name in expected} == expected


def test_a_stop_of_zero_is_no_stop() -> None:
    fields = one("BUY TCS AT 100 SL 0")
    assert fields is not None
    assert "stoploss" not in fields


@pytest.mark.parametrize(
    "text",
    [
        "Abu Dhabi Investment Authority in talks to buy stakes in Reliance Retail, the FT reports",
        "BALKRISIND HIT TGT 1296 BOOK PROFIT BUY CALL",
        "BUY TCS",
        "BUY NIFTY ABOVE 22000 SL 21900",
        "BUY TCS AT 100 AND SELL INFY AT 200",
        "BUY TCS AT 100 SL 90 SL 80",
        "SELL GOLD MINI 5TH AUG AT 47800 SL 48170",
        "",
        "BUY " * 600,
    ],
)
def test_what_cannot_be_read_is_not_guessed(text: str) -> None:
    assert set(parse_calls(text, INDICES)) == {None}


def test_a_message_with_two_calls() -> None:
    calls = parse_calls("FUTURES-BUY GRASIM ABOVE 627 TGT 632\nBUY TCS AT 100 SL 90", INDICES)
    assert [call and call.fields["symbol"] for call in calls] == ["GRASIM", "TCS"]


def test_confidence_rises_with_stop_and_targets() -> None:
    scores = [parse_calls(text)[0] for text in ("BUY X AT 10", "BUY X AT 10 SL 9", "BUY X AT 10 SL 9 TGT 12")]
    assert [score and score.confidence for score in scores] == [0.6, 0.8, 1.0]


@pytest.mark.parametrize(
    "text",
    ["BUY \u0422CS ABOVE 142", "BUY TCS ABOVE 14\u0662", "BUY TC\u00df ABOVE 142", "BUY NI\ufb01TY ABOVE 1"],
)
def test_a_word_of_two_scripts_is_not_guessed(text: str) -> None:
    assert parse_calls(text) == [None]


def test_words_of_another_script_and_signs_beside_a_call_are_passed_over() -> None:
    call = parse_calls("\u20b9 \u0916\u0930\u0940\u0926 BUY TCS ABOVE 142 SL 127 \U0001f680")[0]
    assert call is not None
    assert call.fields["symbol"] == "TCS"
