import pytest

from adapters.brokers.dhan.faults import Refusal, RefusalKind, error_body, refusal_kind, response_fault
from propdesk.core.errors import AuthExpired, OutcomeUnknown, Retryable

ORDER_ERROR = {"errorType": "Order_Error", "errorCode": "DH-906", "errorMessage": "trigger on the wrong side"}
SHAPES = [
    (ORDER_ERROR, "DH-906"),
    ({"status": "failed", "data": {"806": "Subscribe to Data APIs"}}, "806"),
    ({"errorCode": 806, "errorMessage": "no plan"}, "806"),
    ([{"errorType": "Input_Exception", "errorCode": "DH-905", "errorMessage": "x"}], "DH-905"),
    ({"status": "error", "errors": "broken"}, ""),
]


@pytest.mark.parametrize(("body", "code"), SHAPES)
def test_every_known_error_shape_is_read(body: object, code: str) -> None:
    error = error_body(body)
    assert error is not None
    assert error.code == code
    assert error.message


@pytest.mark.parametrize(
    "body",
    [
        {"orderId": "1", "orderStatus": "TRANSIT"},
        [],
        {},
        None,
        "words",
        {"status": "success", "data": {}},
        [{"orderId": "1", "omsErrorCode": "0"}],
        [ORDER_ERROR, ORDER_ERROR],
    ],
)
def test_what_is_no_error_is_not_read_as_one(body: object) -> None:
    assert error_body(body) is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, ORDER_ERROR, Refusal),
        (403, ORDER_ERROR, Refusal),
        (
            401,
            {"errorType": "Invalid_Authentication", "errorCode": "DH-901", "errorMessage": "x"},
            AuthExpired,
        ),
        (400, {"errorCode": "DH-901", "errorMessage": "x"}, AuthExpired),
        (429, {"errorCode": "DH-904", "errorMessage": "too many"}, Retryable),
    ],
)
def test_the_closed_list_proves_that_a_write_was_not_accepted(
    status: int, body: object, kind: type[Exception]
) -> None:
    assert type(response_fault(status, body, is_write=True)) is kind


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, ORDER_ERROR),
        (502, None),
        (400, None),
        (429, None),
        (401, None),
        (404, ORDER_ERROR),
        (301, None),
        (200, ORDER_ERROR),
        (400, {"errorCode": "DH-908", "errorMessage": "internal"}),
        (400, {"errorCode": "DH-909", "errorMessage": "network"}),
    ],
)
def test_anything_else_after_a_write_is_unknown_and_after_a_read_harmless(status: int, body: object) -> None:
    assert type(response_fault(status, body, is_write=True)) is OutcomeUnknown
    assert not isinstance(response_fault(status, body, is_write=False), OutcomeUnknown)
    assert response_fault(status, body, is_write=False) is not None


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("DH-905", "Invalid IP", RefusalKind.IP),
        ("DH-906", "RMS: margin shortfall", RefusalKind.MARGIN),
        ("DH-906", "quantity above freeze limit", RefusalKind.FREEZE),
        ("DH-906", "price outside circuit limits", RefusalKind.BAND),
        ("DH-906", "Script not allowed for trading", RefusalKind.ORDER),
        ("DH-906", "Scrip not found, confirms nothing", RefusalKind.ORDER),
        ("DH-905", "IP not registered", RefusalKind.IP),
        ("DH-905", "missing field", RefusalKind.INPUT),
        ("DH-777", "?", RefusalKind.OTHER),
    ],
)
def test_a_refusal_is_classified_by_its_words_then_its_code(
    code: str, message: str, kind: RefusalKind
) -> None:
    assert refusal_kind(code, message) is kind
