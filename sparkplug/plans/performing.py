"""One attempt at a unit, by what kind of step it is."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nats.errors
import nats.js.errors

from sparkplug.bus import synadia as wire
from sparkplug.plans.attempt import Answer, Ask, InterruptedAttemptError, attempt
from sparkplug.plans.children import child_id
from sparkplug.plans.people import agents_answer
from sparkplug.plans.slots import lent
from sparkplug.plans.teams import change_team
from sparkplug.plans.templates import holds, render, render_text
from sparkplug.schema.agent import ResolveRequest
from sparkplug.schema.errors import (
    CancelledRequestError,
    DeadlineError,
    InvalidError,
    SparkplugError,
    WaitingError,
)
from sparkplug.schema.run import StepState
from sparkplug.schema.units import parse_seconds

if TYPE_CHECKING:
    from sparkplug.plans.unit import Unit

#: An attempt without a time of its own ends with the plan (seconds).
_FOR_EVER_S = 366 * 86400.0
#: What no circuit breaker counts: the plan was wrong, somebody cancelled it, or it was cut short.
_NOT_ITS_FAULT = (InvalidError, CancelledRequestError, InterruptedAttemptError)


@dataclass(slots=True)
class Outcome:
    """What came of it, who gave it, and the tokens it took."""

    output: Any = None
    agent: str = ""
    tokens: int = 0


async def perform(unit: Unit, outcome: Outcome) -> Outcome:
    """Make one attempt. Raises SparkplugError; `outcome` has what was used even so."""
    step = unit.step
    match step.kind:
        case "value":
            outcome.output = render(step.value, unit.names, f"{unit.where}.value")
        case "branch":
            outcome.output = _way(unit)
        case "switch":
            outcome.output = _case(unit)
        case "wait":
            await _wait(unit)
        case _:
            async with contextlib.AsyncExitStack() as stack:
                if step.concurrency is not None:
                    key = render_text(
                        step.concurrency.key, unit.names, f"{unit.where}.concurrency.key"
                    )
                    places = unit.run.desk.places
                    taken = lent(key, step.concurrency.limit, unit.run.view.parent)
                    await stack.enter_async_context(places.taken(*taken))
                    unit.holds = key
                    await unit.run.unpaused()
                await _ask(unit, outcome)
    return outcome


async def _ask(unit: Unit, outcome: Outcome) -> None:
    match unit.step.kind:
        case "agent":
            await _agent(unit, outcome)
        case "plan":
            await _plan(unit, outcome)
        case "discover":
            await _within(unit, _discover(unit, outcome))
        case _:
            await _within(unit, _team(unit, outcome))


async def _within(unit: Unit, work: Any) -> None:
    """Do what is begun anew, within the step's time."""
    await unit.record("step-started", attempt=unit.view.attempts + 1)
    try:
        async with asyncio.timeout(unit.step.limit):
            await work
    except (nats.errors.Error, nats.js.errors.Error) as error:
        raise InterruptedAttemptError(f"the server did not answer: {error}") from error
    except TimeoutError as error:
        raise DeadlineError(f"not done after {unit.step.limit or 0:g} s") from error


def _edited(unit: Unit) -> dict[str, Any]:
    """The input as it is, or as the person who approved it, or asked for a replay, made it."""
    answer = unit.view.answer
    if answer is not None and answer.edited and isinstance(answer.value, dict):
        return answer.value
    given = render(unit.step.input, unit.names, f"{unit.where}.input")
    past = unit.run.view.past
    if past is not None and past.start == unit.step.id:
        given = {**given, **past.edit}
    assert isinstance(given, dict)
    return given


async def _agent(unit: Unit, outcome: Outcome) -> None:
    step, run = unit.step, unit.run
    begun, unit.begun = unit.begun, False
    number = unit.view.attempts + (not begun)
    agent, capability = step.agent, step.capability
    if unit.view.fallback is not None and step.fallback is not None:
        agent, capability = step.fallback.agent, step.fallback.capability
    agent = render_text(agent, unit.names, f"{unit.where}.agent") if agent else None
    if capability:
        capability = render_text(capability, unit.names, f"{unit.where}.capability")
    whom = f"agent {agent}" if agent else f"capability {capability}"
    given = _edited(unit)
    prompt = render_text(step.prompt or "", unit.names, f"{unit.where}.prompt")
    if step.action is None and isinstance(given.get("prompt"), str) and unit.view.answer:
        prompt = given["prompt"]
    breaker = step.breaker
    if breaker is not None:
        unit.whom = whom
        run.desk.breakers.enter(whom, breaker)
    ask = Ask(
        agent=agent,
        capability=capability,
        action=step.action,
        prompt=prompt,
        timeout=step.limit or _FOR_EVER_S,
        idle=step.idle_timeout or run.plan.idle_timeout,
        input=given,
        context={
            "run": run.run_id,
            "step": unit.path,
            "attempt": number,
            "key": f"{run.run_id}/{unit.path}",
        },
    )
    answer = Answer()
    try:
        if not begun:
            await unit.record("step-started", attempt=number, agent=agent)
        await attempt(run.desk.bus, run.desk.replicas, run.desk.resolve, ask, answer)
    except WaitingError as waiting:
        said = await agents_answer(unit, waiting)
        answer.output = said if step.action is None else wire.parsed(said)
    except SparkplugError as error:
        if breaker is not None:
            # What says nothing about who was asked is not counted.
            if isinstance(error, _NOT_ITS_FAULT):
                run.desk.breakers.left(whom)
            else:
                run.desk.breakers.failed(whom, breaker)
        raise
    except BaseException:
        if breaker is not None:
            run.desk.breakers.left(whom)
        raise
    finally:
        outcome.tokens = answer.tokens
        outcome.agent = answer.agent
    if breaker is not None:
        run.desk.breakers.succeeded(whom)
    outcome.output = answer.output


async def _plan(unit: Unit, outcome: Outcome) -> None:
    step, run = unit.step, unit.run
    assert step.plan is not None
    view = unit.view
    if view.state is StepState.RUNNING and view.child is not None:
        child = view.child  # begun by an earlier planner, or before a pause
    else:
        number = view.attempts + 1
        child = child_id(step.plan, run.run_id, unit.path, number)
        await unit.record("step-started", attempt=number, child=child)
    try:
        async with asyncio.timeout(step.limit):
            outcome.output = await run.child(
                step.plan, _edited(unit), child, unit.path, holds=unit.holds
            )
    except TimeoutError as error:
        await run.cancel_child(child)
        raise DeadlineError(f"run {child} took longer than {step.limit:g} s") from error


async def _wait(unit: Unit) -> None:
    wait: Any = unit.step.wait
    if isinstance(wait, str):
        try:
            wait = parse_seconds(render(wait, unit.names, f"{unit.where}.wait"))
        except ValueError as error:
            raise InvalidError(str(error), where=f"{unit.where}.wait") from error
    if isinstance(wait, bool) or not isinstance(wait, int | float) or wait < 0:
        raise InvalidError("a timer is a number of seconds", where=f"{unit.where}.wait")
    view = unit.view
    if view.state is not StepState.RUNNING or view.started is None:
        await unit.record("step-started", attempt=1)
    started = unit.view.started
    assert started is not None
    left = wait - (unit.run.now() - started).total_seconds()
    await asyncio.sleep(max(0.0, left))


def _way(unit: Unit) -> dict[str, Any]:
    for number, way in enumerate(unit.step.branch or []):
        place = f"{unit.where}.branch[{number}].when"
        if way.when is None or holds(way.when, unit.names, place):
            return {"way": number, "then": way.then}
    return {"way": None, "then": []}


def _case(unit: Unit) -> dict[str, Any]:
    switch = unit.step.switch
    assert switch is not None
    value = render_text(switch.on, unit.names, f"{unit.where}.switch.on").strip()
    if value in switch.cases:
        return {"case": value, "then": switch.cases[value]}
    return {"case": None, "value": value, "then": switch.default}


async def _discover(unit: Unit, outcome: Outcome) -> None:
    """Agents by what they can do; each once, the first need that fits is the one told."""
    discover = unit.step.discover
    assert discover is not None
    wanted: list[Any] = []
    for number, text in enumerate(discover.capability):
        found = render(text, unit.names, f"{unit.where}.discover.capability[{number}]")
        wanted += found if isinstance(found, list) else [found]
    agents: dict[str, dict[str, Any]] = {}
    for capability in dict.fromkeys(str(one) for one in wanted):
        reply = await unit.run.desk.resolve(ResolveRequest(capability=capability))
        for target in reply.targets:
            known = agents.setdefault(
                target.name, {"name": target.name, "capability": capability, "replicas": 0}
            )
            known["replicas"] += known["capability"] == capability
    if len(agents) < discover.least:
        needs = ", ".join(str(one) for one in wanted)
        raise SparkplugError(f"{len(agents)} agents can {needs}; {discover.least} are needed")
    outcome.output = sorted(agents.values(), key=lambda one: str(one["name"]))[: discover.most]


async def _team(unit: Unit, outcome: Outcome) -> None:
    team = unit.step.team
    assert team is not None
    where = f"{unit.where}.team"
    outcome.output = await change_team(
        unit.run.desk.bus,
        name=render_text(team.name, unit.names, f"{where}.name"),
        start=render(team.start, unit.names, f"{where}.start"),
        override=render(team.override, unit.names, f"{where}.override"),
        remove=team.remove,
        actor=unit.run.view.actor or f"run {unit.run.run_id}",
    )
