import hashlib
import hmac

import pytest

from propdesk.core.clock import NS_PER_SECOND
from propdesk.intake.signature import WINDOW_NS, SignatureFault, sign, signature_fault

KEY, OLD = "n" * 32, "o" * 32
SENT_S = 1_751_340_000
NOW_NS = SENT_S * NS_PER_SECOND
BODY = b'{"side": "BUY"}'


def fault(
    *,
    keys: tuple[str, ...] = (KEY,),
    sent: str = str(SENT_S),
    body: bytes = BODY,
    by: str = KEY,
    now: int = NOW_NS,
) -> SignatureFault | None:
    return signature_fault(keys, sent, sign(by, str(SENT_S), BODY), body, now)


def test_the_signature_is_plain_hmac_over_moment_full_stop_and_body() -> None:
    expected = hmac.new(KEY.encode(), b"1751340000." + BODY, hashlib.sha256).hexdigest()
    assert sign(KEY, "1751340000", BODY) == expected


def test_a_genuine_request_of_now_is_believed() -> None:
    assert fault() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"body": BODY + b" "},
        {"sent": str(SENT_S + 1)},
        {"sent": f"{SENT_S}.0"},
        {"sent": ""},
        {"by": OLD},
        {"keys": ()},
        {"keys": (OLD,)},
    ],
    ids=["body", "moment", "no-whole-seconds", "no-moment", "key", "unknown-source", "withdrawn-key"],
)
def test_whatever_is_changed_is_not_genuine(changes: dict[str, object]) -> None:
    assert fault(**changes) is SignatureFault.NOT_GENUINE  # type: ignore[arg-type]


@pytest.mark.parametrize("sent", ["١٧٥١٣٤٠٠٠٠", " 1751340000", "-1", "9" * 13])
def test_a_moment_is_up_to_twelve_plain_digits_even_where_it_is_signed(sent: str) -> None:
    assert signature_fault([KEY], sent, sign(KEY, sent, BODY), BODY, NOW_NS) is SignatureFault.NOT_GENUINE


@pytest.mark.parametrize("signature", ["", "é", "0" * 64, "\udc80"])
def test_a_signature_that_is_none_is_refused_and_breaks_nothing(signature: str) -> None:
    assert signature_fault([KEY], str(SENT_S), signature, BODY, NOW_NS) is SignatureFault.NOT_GENUINE


@pytest.mark.parametrize("sign_of", [-1, 1])
def test_the_window_ends_at_120_s_to_either_side(sign_of: int) -> None:
    assert WINDOW_NS == 120 * NS_PER_SECOND
    assert fault(now=NOW_NS + sign_of * WINDOW_NS) is None
    assert fault(now=NOW_NS + sign_of * (WINDOW_NS + 1)) is SignatureFault.OUTSIDE_WINDOW


def test_who_knows_no_key_hears_nothing_about_clocks() -> None:
    assert fault(by=OLD, now=NOW_NS + 2 * WINDOW_NS) is SignatureFault.NOT_GENUINE


@pytest.mark.parametrize("keys", [(KEY, OLD), (OLD, KEY)])
def test_while_keys_are_changed_either_serves(keys: tuple[str, ...]) -> None:
    assert fault(keys=keys) is None
    assert fault(keys=keys, by=OLD) is None


def test_every_key_is_compared_with_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr("propdesk.intake.signature.hmac.compare_digest", watched)
    assert fault(keys=(KEY, OLD)) is None
    assert len(compared) == 2, "the first fits, and the second is looked at as well"
    assert fault(keys=()) is SignatureFault.NOT_GENUINE
    assert len(compared) == 3, "an unknown source takes as long"


def test_a_source_without_keys_is_nobody_whatever_signs_for_it() -> None:
    for key in ("", "\0"):
        assert fault(keys=(), by=key) is SignatureFault.NOT_GENUINE
