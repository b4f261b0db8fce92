"""A process that dies now and then, before or after it writes to its books or calls the broker."""

from collections.abc import Sequence

import numpy as np
import pytest


class Died(Exception):
    """The process ends here, without a chance to tidy up its own books."""


def arm_deaths(
    monkeypatch: pytest.MonkeyPatch,
    rng: np.random.Generator,
    shares: Sequence[tuple[type, str, float]],
    *,
    most: int,
) -> list[tuple[str, str]]:
    """Make asynchronous methods raise `Died` before or after they take effect.

    Parameters
    ----------
    shares : sequence of (type, str, float)
        Class, method, and how often a call of it dies.
    most : int
        Deaths at most.

    Returns
    -------
    list of (str, str)
        Grows with every death: ``Class.method``, and ``before`` or ``after``.
    """
    deaths: list[tuple[str, str]] = []

    def patch(owner: type, name: str, share: float) -> None:
        real = getattr(owner, name)

        async def deadly(self: object, *args: object, **kwargs: object) -> object:
            when = ("before", "after")[int(rng.integers(2))]
            dies = len(deaths) < most and rng.random() < share
            if dies and when == "before":
                deaths.append((f"{owner.__name__}.{name}", when))
                raise Died
            answer = await real(self, *args, **kwargs)
            if dies:
                deaths.append((f"{owner.__name__}.{name}", when))
                raise Died
            return answer

        monkeypatch.setattr(owner, name, deadly)

    for owner, name, share in shares:
        patch(owner, name, share)
    return deaths
