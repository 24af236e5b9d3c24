"""What others than its planner leave in the journal of a run: cancel, pause, resume, answers.

Each is written only if nothing came between it and what its writer saw, so that nothing follows
the entry that ends a run, and a question is answered once.
"""

from __future__ import annotations

from typing import Literal

from sparkplug.bus.connection import Bus
from sparkplug.bus.journal import read_journal
from sparkplug.plans.journal import append_after, last_entry
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError
from sparkplug.schema.journal_fold import LAST_WORDS, fold
from sparkplug.schema.run import (
    AnswerRequest,
    JournalEntry,
    RunAnswer,
    RunQuestion,
    RunView,
    StepView,
)

_TRIES = 60


async def ask_cancel(bus: Bus, run: str, actor: str) -> None:
    """Leave that a run shall be cancelled, for the planner that holds it.

    Raises NotFoundError, or ConflictError when the run has already ended.
    """
    await _leave(bus, JournalEntry(run=run, kind="cancel-asked", actor=actor))


async def ask_pause(bus: Bus, run: str, actor: str, *, resume: bool) -> None:
    """Leave that nothing more is begun in a run, or that it goes on. Raises as `ask_cancel`, and
    ConflictError when it is so already."""
    kind: Literal["resume-asked", "pause-asked"] = "resume-asked" if resume else "pause-asked"
    for _ in range(_TRIES):
        view, sequence = await _read(bus, run)
        if view.paused is not resume:
            told = "is not paused" if resume else "is paused already"
            raise ConflictError(f"the run {told}", where=run)
        if await append_after(bus, JournalEntry(run=run, kind=kind, actor=actor), sequence):
            return
    raise _too_fast(run)


async def answer(
    bus: Bus, request: AnswerRequest, how: Literal["person", "default"] = "person"
) -> str:
    """Answer the question of a step; the step's name. It is answered once, whoever else tries.

    Raises NotFoundError (no such run, or nothing waits there), ConflictError when it was answered
    already or several wait and none is named, InvalidError for an answer that does not fit.
    """
    run = request.run
    for _ in range(_TRIES):
        view, sequence = await _read(bus, run)
        step, question = _waiting(view, request.step)
        _check_fits(question, request)
        name, item = _parts(step.id)
        entry = JournalEntry(
            run=run,
            kind="step-answered",
            step=name,
            item=item,
            actor=request.actor,
            answer=RunAnswer(
                question=question.id,
                verdict=request.verdict,
                value=request.value,
                edited=request.edited,
                reason=request.reason,
                by=request.actor,
                how=how,
            ),
        )
        if await append_after(bus, entry, sequence):
            return step.id
    raise _too_fast(run)


def _waiting(view: RunView, name: str) -> tuple[StepView, RunQuestion]:
    questions = view.questions
    if name:
        for step, question in questions:
            if name in (step.id, question.id):
                return step, question
        base, item = _parts(name)
        known = view.step(base, item)
        if known is None:
            raise NotFoundError(f"the run has no step {name}", where=view.id)
        if known.answer is not None:
            by = known.answer.by or "its deadline"
            raise ConflictError(f"it was answered already, by {by}", where=f"{view.id}/{name}")
        raise ConflictError(f"step {name} waits for nobody: it is {known.state}", where=view.id)
    if not questions:
        raise ConflictError("no step of the run waits for a person", where=view.id)
    if len(questions) > 1:
        names = ", ".join(step.id for step, _ in questions)
        raise ConflictError(f"several steps wait: {names}", where=view.id, hint="name one")
    return questions[0]


def _check_fits(question: RunQuestion, request: AnswerRequest) -> None:
    where = request.run
    if question.kind == "agent":
        ids = ", ".join(question.questions)
        raise ConflictError(
            "its agent asks: that is answered among the questions",
            where=where,
            hint=f"`sparkplug questions` has it: {ids}",
        )
    if question.kind == "approve":
        if request.verdict == "answer":
            raise InvalidError("it is answered with approve or reject", where=where)
        if request.edited and not isinstance(request.value, dict):
            raise InvalidError("an input is keys with values", where=where)
    elif request.verdict == "approve":
        raise InvalidError("it wants an answer, not an approval", where=where)
    elif request.verdict == "answer":
        if question.options and request.value not in question.options:
            known = ", ".join(question.options)
            raise InvalidError(f"it is answered with one of: {known}", where=where)
        if request.value is None or request.value == "":
            raise InvalidError("an answer is not empty", where=where)


def _parts(name: str) -> tuple[str, int | None]:
    base, bracket, rest = name.partition("[")
    number = rest.removesuffix("]")
    return (base, int(number)) if bracket and number.isdigit() else (name, None)


async def _read(bus: Bus, run: str) -> tuple[RunView, int]:
    entries = await read_journal(bus, run)
    if not entries:
        raise NotFoundError(f"no run {run}", hint="`sparkplug runs list` shows them")
    if entries[-1].kind in LAST_WORDS:
        raise ConflictError(f"the run has already ended: {entries[-1].kind}", where=run)
    return fold(entries), entries[-1].sequence


async def _leave(bus: Bus, entry: JournalEntry) -> None:
    for _ in range(_TRIES):
        last = await last_entry(bus, entry.run)
        if last is None:
            raise NotFoundError(f"no run {entry.run}", hint="`sparkplug runs list` shows them")
        if last.kind in LAST_WORDS:
            raise ConflictError(f"the run has already ended: {last.kind}", where=entry.run)
        if await append_after(bus, entry, last.sequence):
            return
    raise _too_fast(entry.run)


def _too_fast(run: str) -> ConflictError:
    return ConflictError("the run moves on too fast to be told", where=run, hint="ask again")
