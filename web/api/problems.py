"""Every error is a problem document (RFC 9457), whoever raised it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException

from adapters.db.engine import DatabaseUnreachable
from adapters.log import get_logger
from propdesk.core.errors import DataFault, GapFault

MEDIA_TYPE: Final = "application/problem+json"
RETRY_S: Final = 5
"""When a client that found the database away may ask again, s."""
_ERRORS_SHOWN: Final = 20


class ProblemDocument(BaseModel):
    """What a client reads of an error."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "urn:propdesk:problem:bad-query",
                "title": "Unprocessable Entity",
                "status": 422,
                "detail": "rules has no column 'profit'.",
            }
        },
    )

    type: str = Field(description="Kind of problem: urn:propdesk:problem:WORD, the same for the same kind.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="One sentence for a person: what is wrong and what to do.")


class Problem(Exception):
    """An answer that is no success.

    Parameters
    ----------
    status : int
    kind : str
        Word of the type.
    detail : str
        One sentence for a person.
    headers : mapping, optional
    """

    def __init__(self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})


def respond(problem: Problem, **more: object) -> Response:
    """Write a problem as a response; ``more`` are further members of the document."""
    content: dict[str, Any] = {
        "type": f"urn:propdesk:problem:{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        **more,
    }
    headers = {"Cache-Control": "no-store", **problem.headers}
    response = Response(orjson.dumps(content), problem.status, headers, MEDIA_TYPE)
    forbid_guessing(response.headers)
    return response


def forbid_guessing(headers: MutableHeaders) -> None:
    """Tell browsers to take an answer for what it says it is."""
    headers["X-Content-Type-Options"] = "nosniff"


def register(app: FastAPI) -> None:
    """Turn every exception that a route may raise into its problem."""

    @app.exception_handler(Problem)
    def on_problem(_: Request, error: Problem) -> Response:
        return respond(error)

    @app.exception_handler(RequestValidationError)
    def on_validation(_: Request, error: RequestValidationError) -> Response:
        # Never the input itself: it may be a password.
        errors = [
            {"at": ".".join(map(_plain, item["loc"])), "detail": _plain(item["msg"])}
            for item in error.errors()[:_ERRORS_SHOWN]
        ]
        detail = "The request does not fit its description: see errors."
        return respond(Problem(422, "invalid-request", detail), errors=errors)

    @app.exception_handler(HTTPException)
    def on_http(_: Request, error: HTTPException) -> Response:
        if error.status_code == 400:  # what FastAPI says of a body that is not even text
            return respond(Problem(422, "invalid-request", "The body is no JSON in UTF-8."))
        name = HTTPStatus(error.status_code).name.lower().replace("_", "-")
        kind = "too-large" if error.status_code == 413 else name
        sentence = {404: "There is nothing at this address.", 405: "This address does not take that method."}
        detail = sentence.get(error.status_code, str(error.detail))
        return respond(Problem(error.status_code, kind, detail, error.headers))

    @app.exception_handler(GapFault)
    def on_gap(_: Request, error: GapFault) -> Response:
        return respond(Problem(404, "not-found", _sentence(error)))

    @app.exception_handler(DataFault)
    def on_data(_: Request, error: DataFault) -> Response:
        return respond(Problem(422, "bad-query", _sentence(error)))

    @app.exception_handler(DatabaseUnreachable)
    @app.exception_handler(psycopg.OperationalError)
    def on_database(_: Request, error: Exception) -> Response:
        get_logger().warning("database_away", error=str(error))
        detail = "The database does not answer now, or not in time: try again."
        return respond(Problem(503, "not-ready", detail, {"Retry-After": str(RETRY_S)}))

    @app.exception_handler(Exception)
    def on_fault(request: Request, error: Exception) -> Response:
        get_logger().error("request_failed", path=request.url.path, exc_info=error)
        return respond(Problem(500, "internal", "Something broke here; the log of the API says what."))


def _plain(part: object) -> str:
    return str(part).encode("utf-8", "replace").decode()


def _sentence(error: DataFault) -> str:
    text = _plain(error)
    return text[:1].upper() + text[1:]
