"""JSON log lines and the masking of secrets."""

import io
import json
from collections.abc import Iterator

import pytest
import structlog

from adapters.log import configure_logging, get_logger, redact
from propdesk.core.clock import ManualClock


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_line_carries_utc_time_component_event_and_ids() -> None:
    stream = io.StringIO()
    configure_logging("daemon", ManualClock(1_750_000_000_123_456_789), stream=stream)
    get_logger(signal_id="s1").info("order_sent", order_id="o1")
    assert json.loads(stream.getvalue()) == {
        "ts": "2025-06-15T15:06:40.123456+00:00",
        "component": "daemon",
        "level": "info",
        "event": "order_sent",
        "signal_id": "s1",
        "order_id": "o1",
    }


def test_lines_below_the_level_are_dropped() -> None:
    stream = io.StringIO()
    configure_logging("daemon", ManualClock(), level="warning", stream=stream)
    get_logger().info("quiet")
    get_logger().warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"password": "x"}, {"password": "***"}),
        ({"dhan_access_token": "x", "n": 1}, {"dhan_access_token": "***", "n": 1}),
        ("postgresql+psycopg://a:geheim@h/d", "postgresql+psycopg://a:***@h/d"),
        ("redis://:geheim@h:1/0", "redis://:***@h:1/0"),
        ({"deep": [{"secret": "x"}, "see hunter22 here"]}, {"deep": [{"secret": "***"}, "see *** here"]}),
        ("http://127.0.0.1:3000/page", "http://127.0.0.1:3000/page"),
        ("", ""),
        (None, None),
        (1.5, 1.5),
    ],
)
def test_secrets_are_masked(value: object, expected: object) -> None:
    assert redact(value, ["hunter22"]) == expected


def test_a_secret_in_a_traceback_is_masked() -> None:
    stream = io.StringIO()
    configure_logging("daemon", ManualClock(), secrets=["hunter22"], stream=stream)
    try:
        raise ValueError("cannot log in with hunter22")
    except ValueError:
        get_logger().error("failed", exc_info=True)
    assert "hunter22" not in stream.getvalue()
    assert "cannot log in" in stream.getvalue()
