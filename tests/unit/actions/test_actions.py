"""The registry: whole, consistent, and honest about what applies."""

from __future__ import annotations

import inspect

import pytest

from sparkplug.actions.action import Action, Subject
from sparkplug.actions.registry import ACTIONS, actions_for, refuse_if_readonly
from sparkplug.schema.agent import SERVING, AgentState, ObservedAgent
from sparkplug.schema.errors import RefusedError
from sparkplug.schema.run import RunState, RunView


def agent(state: AgentState, *, foreign: bool = False) -> Subject:
    value = ObservedAgent(
        name="a", replica="0", runtime="python", owner="o", state=state, foreign=foreign
    )
    return Subject("agent", "a", value)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda a: a.id)
def test_an_action_is_whole(action: Action) -> None:
    assert action.id.count(".") == 1
    assert action.title
    assert action.help
    assert action.verb
    parameters = inspect.signature(action.run).parameters
    assert next(iter(parameters)) == "client"
    assert list(parameters)[1:] == [argument.name for argument in action.arguments]
    for argument in action.arguments:
        alone = argument.required and not argument.unless
        assert alone == (parameters[argument.name].default is inspect.Parameter.empty)
        assert argument.required == (argument.flag is None)
    if action.target is not None:
        assert action.target_argument is not None
    given = {argument.name: "x" for argument in action.arguments if argument.required}
    said = action.preview(**given)
    assert "x" in said if given else said


def test_verbs_are_unique_and_keys_are_among_what_can_be_selected() -> None:
    verbs = [action.verb for action in ACTIONS.values()]
    assert len(set(verbs)) == len(verbs)
    keys = [(action.target, action.key) for action in ACTIONS.values() if action.key]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "action", [a for a in ACTIONS.values() if a.danger and a.target], ids=lambda a: a.id
)
def test_what_is_dangerous_is_looked_up_before_a_person_is_asked(action: Action) -> None:
    assert action.check is not None


def test_what_can_be_done_with_an_agent_depends_on_its_state() -> None:
    start, stop = ACTIONS["agents.start"], ACTIONS["agents.stop"]
    prompt = ACTIONS["agents.prompt"]
    assert start.applies(agent(AgentState.IDLE)) == "it runs already"
    assert start.applies(agent(AgentState.STOPPED)) is None
    assert start.applies(agent(AgentState.ERROR)) is None
    assert stop.applies(agent(AgentState.STOPPED)) == "it is stopped already"
    assert stop.applies(agent(AgentState.RUNNING)) is None
    for state in AgentState:
        assert (prompt.applies(agent(state)) is None) == (state in SERVING), state


def test_a_foreign_agent_can_be_prompted_and_not_managed() -> None:
    foreign = agent(AgentState.IDLE, foreign=True)
    assert ACTIONS["agents.prompt"].applies(foreign) is None
    for name in ("start", "stop", "restart", "scale", "remove"):
        why = ACTIONS[f"agents.{name}"].applies(foreign)
        assert why is not None
        assert "foreign" in why


def test_a_run_that_ended_cannot_be_cancelled() -> None:
    cancel = ACTIONS["runs.cancel"]
    for state in RunState:
        view = RunView(id="r", plan="p", state=state)
        ended = state in (RunState.DONE, RunState.FAILED, RunState.CANCELLED)
        assert (cancel.applies(Subject("run", "r", view)) is not None) == ended


def test_what_fits_comes_first() -> None:
    offered = actions_for(agent(AgentState.STOPPED))
    whys = [why is not None for _, why in offered]
    assert whys == sorted(whys)
    assert ACTIONS["runs.cancel"] not in [action for action, _ in offered]


def test_a_read_only_face_refuses_what_writes() -> None:
    with pytest.raises(RefusedError, match="--readonly"):
        refuse_if_readonly(ACTIONS["agents.stop"], readonly=True)
    refuse_if_readonly(ACTIONS["agents.stop"], readonly=False)
