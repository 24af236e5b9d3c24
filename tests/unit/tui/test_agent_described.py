"""What the control centre tells of a replica that failed, and what can be done about it."""

from __future__ import annotations

from sparkplug.actions.action import Subject
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.agent_state import AgentState, ReasonKind, StateSource
from sparkplug.tui.cells import plain
from sparkplug.tui.commands import action_commands
from sparkplug.tui.dialogs.describe import agent_nodes
from sparkplug.tui.dialogs.why import agent_why
from sparkplug.tui.widgets.tree_nodes import Node


def failed() -> ObservedAgent:
    one = ObservedAgent(
        name="looper", replica="0", runtime="python", owner="me", state=AgentState.DEPLOYING
    )
    one.enter(AgentState.STARTING, StateSource.NODE)
    why = "exited with code 3; held back after 5 restarts"
    one.enter(AgentState.ERROR, StateSource.NODE, why, ReasonKind.HELD_BACK)
    one.last_lines = "first\nits \x1b[31mlast words\n"
    return one


def below(node: Node) -> dict[str, Node]:
    found = node.children() if callable(node.children) else node.children
    return {inner.key: inner for inner in found}


def test_describing_it_tells_its_states_its_last_lines_and_what_can_be_done() -> None:
    (node,) = agent_nodes("looper", [failed()], None)
    told = below(node)
    history = [plain(inner.line) for inner in below(told["history"]).values()]
    assert "✖ error by the node  exited with code 3" in history[0]
    assert "starting by the node" in history[1]
    assert next(one.value for one in below(told["last lines"]).values()) == "first"
    assert "start it again, read its log" in plain(told["you can"].line)


def test_why_tells_the_last_words() -> None:
    lines = [plain(line) for line in agent_why("looper", [failed()], None, [], [], 90)]
    assert any("held back after 5 restarts" in line for line in lines)
    assert any(line.endswith("its last words") for line in lines)


def test_what_helps_comes_first_in_the_palette() -> None:
    subject = Subject("agent", "looper", failed())
    commands = action_commands(subject, [], {}, readonly=False)
    worth = {command.action.id: command.worth for command in commands if command.action}
    assert worth["agents.restart"] < worth["agents.start"] < worth["agents.remove"]
    assert worth["agents.remove"] == worth["agents.scale"]
