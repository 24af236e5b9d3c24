"""Actions on plans and runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject
from sparkplug.schema.plain import plain

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.plan import Plan

_ENDED = frozenset({"done", "failed", "cancelled"})


async def _prepare(client: Client, name: str, inputs: Sequence[str]) -> tuple[Plan, dict[str, Any]]:
    """The plan and the inputs of a run, checked against the agents there are."""
    from sparkplug.client import agents, plan_files

    known = {agent.name for agent in await agents.list_agents(client)}
    plan = plan_files.find_plan(name, known)
    return plan, plan_files.check_inputs(plan, plan_files.parse_inputs(inputs, plan))


async def _check_submit(
    client: Client, plan: str, *, inputs: Sequence[str] = (), priority: int | None = None
) -> None:
    await _prepare(client, plan, inputs)


async def _check_cancel(client: Client, run: str) -> None:
    from sparkplug.client import runs

    await runs.describe(client, run)


async def _submit(
    client: Client, plan: str, *, inputs: Sequence[str] = (), priority: int | None = None
) -> ActionResult:
    from sparkplug.client import runs

    chosen, values = await _prepare(client, plan, inputs)
    run = await runs.submit(client, chosen, values, priority)
    return ActionResult(f"run {run} of {chosen.name} accepted", {"run": run, "plan": chosen.name})


async def _cancel(client: Client, run: str) -> ActionResult:
    from sparkplug.client import runs

    found = await runs.describe(client, run)
    if str(found.state) in _ENDED:
        text = f"run {found.id} is {found.state} already"
        return ActionResult(text, {"run": found.id, "changed": False}, changed=False)
    await runs.cancel(client, found.id)
    return ActionResult(f"run {found.id}: cancel asked", {"run": found.id, "changed": True})


async def _check_run(client: Client, run: str, **_: Any) -> None:
    from sparkplug.client import runs

    await runs.describe(client, run)


async def _check_both(client: Client, run: str, other: str) -> None:
    for one in (run, other):
        await _check_run(client, one)


async def _pause(client: Client, run: str) -> ActionResult:
    from sparkplug.client import runs

    found = await runs.describe(client, run)
    await runs.pause(client, found.id)
    return ActionResult(f"run {found.id}: paused; what it has in hand ends", {"run": found.id})


async def _resume(client: Client, run: str) -> ActionResult:
    from sparkplug.client import runs

    found = await runs.describe(client, run)
    await runs.pause(client, found.id, resume=True)
    return ActionResult(f"run {found.id}: goes on", {"run": found.id})


async def _retry(client: Client, run: str) -> ActionResult:
    from sparkplug.client import runs

    found = await runs.describe(client, run)
    new = await runs.replay(client, found.id)
    return ActionResult(f"run {new} does again what failed in {found.id}", {"run": new})


async def _replay(
    client: Client,
    run: str,
    start: str,
    *,
    inputs: Sequence[str] = (),
    edit: Sequence[str] = (),
) -> ActionResult:
    from sparkplug.client import plan_files, runs

    found = await runs.describe(client, run)
    new = await runs.replay(
        client,
        found.id,
        start,
        plan_files.parse_inputs(inputs),
        plan_files.parse_inputs(edit),
    )
    return ActionResult(f"run {new} shares the past of {found.id} before {start}", {"run": new})


async def _approve(
    client: Client, run: str, *, step: str = "", edit: Sequence[str] = (), note: str = ""
) -> ActionResult:
    from sparkplug.client import plan_files, runs

    found = await runs.describe(client, run)
    values = plan_files.parse_inputs(edit)
    given: Any = None
    if values:
        asked = [q for one, q in found.questions if step in ("", one.id, q.id)]
        before = asked[0].input if len(asked) == 1 else None
        given = {**(before if isinstance(before, dict) else {}), **values}
    await runs.answer(
        client, found.id, "approve", step=step, value=given, edited=bool(values), reason=note
    )
    return ActionResult(f"run {found.id}: approved", {"run": found.id})


async def _reject(client: Client, run: str, *, step: str = "", note: str = "") -> ActionResult:
    from sparkplug.client import runs

    found = await runs.describe(client, run)
    await runs.answer(client, found.id, "reject", step=step, reason=note)
    return ActionResult(f"run {found.id}: rejected", {"run": found.id})


async def _answer(
    client: Client, run: str, text: str, *, step: str = "", note: str = ""
) -> ActionResult:
    from sparkplug.client import runs

    found = await runs.describe(client, run)
    await runs.answer(client, found.id, "answer", step=step, value=text, reason=note)
    return ActionResult(f"run {found.id}: answered", {"run": found.id})


async def _diff(client: Client, run: str, other: str) -> ActionResult:
    from sparkplug.client import runs
    from sparkplug.schema.run_diff import diff_runs, diff_text

    before = await runs.describe(client, run)
    after = await runs.describe(client, other)
    found = diff_runs(before, after)
    text = diff_text(found)
    data = {**plain(found), "diff": text}
    return ActionResult(
        f"runs {before.id} and {after.id} do not differ",
        data,
        changed=False,
        text=text,
        exit_code=1 if text else 0,
    )


def _state(subject: Subject | None) -> str | None:
    """The state of the run that is selected; None when none is, or it is not known."""
    if subject is None or subject.kind != "run":
        return None
    state = getattr(subject.value, "state", None)
    return str(state) if state is not None else None


def _is_run(subject: Subject | None) -> str | None:
    return None if subject is not None and subject.kind == "run" else "select a run"


def _can_pause(subject: Subject | None) -> str | None:
    if _is_run(subject) or (state := _state(subject)) is None:
        return _is_run(subject)
    return f"it is {state} already" if state in (*_ENDED, "paused") else None


def _can_resume(subject: Subject | None) -> str | None:
    if _is_run(subject) or (state := _state(subject)) is None:
        return _is_run(subject)
    return None if state == "paused" else f"it is {state}"


def _can_retry(subject: Subject | None) -> str | None:
    if _is_run(subject) or (state := _state(subject)) is None:
        return _is_run(subject)
    return None if state in ("failed", "cancelled") else f"it is {state}"


def _can_replay(subject: Subject | None) -> str | None:
    if _is_run(subject) or (state := _state(subject)) is None:
        return _is_run(subject)
    return None if state in _ENDED else f"it is still {state}"


def _waits(kind: str) -> Callable[[Subject | None], str | None]:
    """For actions on what a step asks a person, by the kind of question."""

    def applies(subject: Subject | None) -> str | None:
        if _is_run(subject) or _state(subject) is None or subject is None:
            return _is_run(subject)
        kinds = {question.kind for _, question in subject.value.questions}
        if not kinds:
            return "it waits for nobody"
        return None if kind in kinds or kind == "any" else "that is no answer to what it asks"

    return applies


def _can_cancel(subject: Subject | None) -> str | None:
    if subject is None or subject.kind != "run":
        return "select a run"
    state = getattr(subject.value, "state", None)
    return f"it is {state} already" if state is not None and str(state) in _ENDED else None


_RUN = Argument("run", "run", "id of the run, or its beginning", required=True)
_STEP = Argument("step", "text", "which step, when several wait", default="", flag="--step")
_NOTE = Argument("note", "text", "why, for the record", default="", flag="--note", short="-m")

RUN_ACTIONS: tuple[Action, ...] = (
    Action(
        id="runs.submit",
        title="Run plan",
        help="run a plan: a file, or the name of a shipped one",
        verb=("run",),
        key="R",
        arguments=(
            Argument("plan", "plan", "plan file, or the name of a shipped plan", required=True),
            Argument(
                "inputs",
                "pairs",
                "input of the plan, key=value",
                flag="--input",
                repeated=True,
                stdin=True,
            ),
            Argument(
                "priority",
                "integer",
                "where runs wait for their turn, 0 to 9; 9 is first",
                flag="--priority",
            ),
        ),
        check=_check_submit,
        run=_submit,
        preview=lambda plan, **_: f"would run {plan}",
    ),
    Action(
        id="runs.cancel",
        title="Cancel run",
        help="end a run before it is done",
        verb=("runs", "cancel"),
        key="x",
        target="run",
        arguments=(Argument("run", "run", "id of the run, or its beginning", required=True),),
        many=True,
        danger=True,
        applies=_can_cancel,
        check=_check_cancel,
        run=_cancel,
        preview=lambda run, **_: f"would cancel the run {run}; its steps in hand end",
    ),
    Action(
        id="runs.pause",
        title="Pause run",
        help="begin nothing more in a run until it is resumed",
        verb=("runs", "pause"),
        target="run",
        arguments=(_RUN,),
        many=True,
        applies=_can_pause,
        check=_check_run,
        run=_pause,
        preview=lambda run, **_: f"would begin nothing more in the run {run}",
    ),
    Action(
        id="runs.resume",
        title="Resume run",
        help="have a paused run go on",
        verb=("runs", "resume"),
        target="run",
        arguments=(_RUN,),
        many=True,
        applies=_can_resume,
        check=_check_run,
        run=_resume,
        preview=lambda run, **_: f"would have the run {run} go on",
    ),
    Action(
        id="runs.retry",
        title="Retry run",
        help="do again what failed or was never done, in a new run that shares the rest",
        verb=("runs", "retry"),
        target="run",
        arguments=(_RUN,),
        many=True,
        applies=_can_retry,
        check=_check_run,
        run=_retry,
        preview=lambda run, **_: f"would do again what failed in the run {run}",
    ),
    Action(
        id="runs.replay",
        title="Replay from a step",
        help="a new run that shares the past of this one, from a step on",
        verb=("runs", "replay"),
        target="run",
        arguments=(
            _RUN,
            Argument("start", "text", "the step to begin from", required=True),
            Argument(
                "inputs",
                "pairs",
                "input of the plan, changed",
                flag="--input",
                repeated=True,
                stdin=True,
            ),
            Argument("edit", "pairs", "input of that step, changed", flag="--edit", repeated=True),
        ),
        applies=_can_replay,
        check=_check_run,
        run=_replay,
        preview=lambda run, start, **_: f"would run {run} again from {start}",
    ),
    Action(
        id="runs.diff",
        title="Compare runs",
        help="how two runs differ; leaves with 1 when they do",
        verb=("runs", "diff"),
        target="run",
        arguments=(_RUN, Argument("other", "run", "the other run", required=True)),
        writes=False,
        applies=_is_run,
        check=_check_both,
        run=_diff,
        preview=lambda run, other, **_: f"would compare {run} and {other}",
    ),
    Action(
        id="runs.approve",
        title="Approve step",
        help="let a step that waits for it be done, with its input changed or as it is",
        verb=("runs", "approve"),
        target="run",
        arguments=(
            _RUN,
            _STEP,
            Argument("edit", "pairs", "input of the step, changed", flag="--edit", repeated=True),
            _NOTE,
        ),
        applies=_waits("approve"),
        check=_check_run,
        run=_approve,
        preview=lambda run, **_: f"would approve what waits in the run {run}",
    ),
    Action(
        id="runs.reject",
        title="Reject step",
        help="refuse what a step waits for leave to do; it fails",
        verb=("runs", "reject"),
        target="run",
        arguments=(_RUN, _STEP, _NOTE),
        danger=True,
        applies=_waits("any"),
        check=_check_run,
        run=_reject,
        preview=lambda run, **_: f"would reject what waits in the run {run}; the step fails",
    ),
    Action(
        id="runs.answer",
        title="Answer step",
        help="answer what a step of a run asks",
        verb=("runs", "answer"),
        target="run",
        arguments=(
            _RUN,
            Argument(
                "text", "text", "the answer, or one of the options", required=True, stdin=True
            ),
            _STEP,
            _NOTE,
        ),
        applies=_waits("answer"),
        check=_check_run,
        run=_answer,
        preview=lambda run, text, **_: f"would answer what waits in the run {run}: {text}",
    ),
)
