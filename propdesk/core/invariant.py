"""Production assertions: ``python -O`` strips ``assert``, not these."""

from propdesk.core.errors import InvariantViolated


def require(condition: bool, message: str) -> None:
    """Crash with ``message`` unless ``condition`` holds.

    Parameters
    ----------
    condition : bool
        What must be true whatever the input.
    message : str
        What was promised, for whoever reads the crash.

    Raises
    ------
    InvariantViolated
        If ``condition`` is false.
    """
    if not condition:
        raise InvariantViolated(message)
