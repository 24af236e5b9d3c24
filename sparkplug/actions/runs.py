"""Actions on plans and runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.plan import Plan

_ENDED = frozenset({"done", "failed", "cancelled"})


async def _prepare(client: Client, name: str, inputs: Sequence[str]) -> tuple[Plan, dict[str, Any]]:
    """The plan and the inputs of a run, checked against the agents there are."""
    from sparkplug.client import agents, plan_files

    values = plan_files.parse_inputs(inputs)
    known = {agent.name for agent in await agents.list_agents(client)}
    plan = plan_files.find_plan(name, known)
    return plan, plan_files.check_inputs(plan, values)


async def _check_submit(client: Client, plan: str, *, inputs: Sequence[str] = ()) -> None:
    await _prepare(client, plan, inputs)


async def _check_cancel(client: Client, run: str) -> None:
    from sparkplug.client import runs

    await runs.describe(client, run)


async def _submit(client: Client, plan: str, *, inputs: Sequence[str] = ()) -> ActionResult:
    from sparkplug.client import runs

    chosen, values = await _prepare(client, plan, inputs)
    run = await runs.submit(client, chosen, values)
    return ActionResult(f"run {run} of {chosen.name} accepted", {"run": run, "plan": chosen.name})


async def _cancel(client: Client, run: str) -> ActionResult:
    from sparkplug.client import runs

    found = await runs.describe(client, run)
    if str(found.state) in _ENDED:
        text = f"run {found.id} is {found.state} already"
        return ActionResult(text, {"run": found.id, "changed": False}, changed=False)
    await runs.cancel(client, found.id)
    return ActionResult(f"run {found.id}: cancel asked", {"run": found.id, "changed": True})


def _can_cancel(subject: Subject | None) -> str | None:
    if subject is None or subject.kind != "run":
        return "select a run"
    state = getattr(subject.value, "state", None)
    return f"it is {state} already" if state is not None and str(state) in _ENDED else None


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
                "inputs", "pairs", "input of the plan, key=value", flag="--input", repeated=True
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
)
