"""What the instrument master said while a journal row was decided.

A master may be loaded anew within the day, and so may the spellings of names: asked again, the same
question can have another answer. So the answers a decision was built on are facts that are journalled with
it, and a fold is given them instead of the master.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from propdesk.core.errors import InvariantViolated
from propdesk.engine.context import Resolver
from propdesk.model.instrument import Instrument
from propdesk.model.signal import Signal

Question: TypeAlias = tuple[str, int, date]
"""Signal, its revision, and the date it is asked for."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """One answer: the instrument a revision of a signal meant on a date, or why there was none."""

    signal_id: str
    revision: int
    on_date: date
    found: Instrument | str

    @property
    def question(self) -> Question:
        """What was asked."""
        return self.signal_id, self.revision, self.on_date


class RecordingResolver:
    """Asks a resolver and remembers what it said, each question once."""

    def __init__(self, resolve: Resolver) -> None:
        self._resolve = resolve
        self._answers: dict[Question, Resolution] = {}

    def __call__(self, signal: Signal, on_date: date) -> Instrument | str:
        """Resolve a signal."""
        question = (signal.signal_id, signal.revision, on_date)
        answer = self._answers.get(question)
        if answer is None:
            answer = Resolution(*question, self._resolve(signal, on_date))
            self._answers[question] = answer
        return answer.found

    @property
    def answers(self) -> tuple[Resolution, ...]:
        """Every answer given, in the order of the first asking."""
        return tuple(self._answers.values())


class RecordedAnswers:
    """Resolver that knows only what was answered before."""

    def __init__(self) -> None:
        self._answers: dict[Question, Resolution] = {}

    def __call__(self, signal: Signal, on_date: date) -> Instrument | str:
        """Give the recorded answer; raises `InvariantViolated` where nothing was recorded."""
        answer = self._answers.get((signal.signal_id, signal.revision, on_date))
        if answer is None:
            raise InvariantViolated(
                f"the journal holds no instrument for revision {signal.revision} of signal {signal.signal_id}"
            )
        return answer.found

    def learn(self, answers: Iterable[Resolution]) -> None:
        """Take answers in; a later one replaces an earlier one to the same question."""
        self._answers.update({answer.question: answer for answer in answers})

    @property
    def known(self) -> Mapping[Question, Resolution]:
        """Everything learnt."""
        return self._answers


def news(answers: Iterable[Resolution], known: Mapping[Question, Resolution]) -> tuple[Resolution, ...]:
    """Keep the answers that are not known already in just this form."""
    return tuple(answer for answer in answers if known.get(answer.question) != answer)
