"""Actions on the threads of an agent: changing the state of one, forgetting one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject
from sparkplug.actions.agent_arguments import AGENT, managed
from sparkplug.schema.plain import plain

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.agent import ObservedAgent

_THREAD = Argument("thread", "text", "name of the thread", required=True)


def _keeps_threads(subject: Subject | None) -> str | None:
    why = managed(subject)
    if why or subject is None or subject.value is None:
        return why
    agent: ObservedAgent = subject.value
    return None if agent.runtime == "langgraph" else "it keeps no state that could be shown"


async def _check(client: Client, agent: str, thread: str, **_: Any) -> None:
    from sparkplug.client import threads

    await threads.state(client, agent, thread)


async def _set(
    client: Client,
    agent: str,
    thread: str,
    values: Sequence[str] = (),
    *,
    as_node: str = "",
    checkpoint: str = "",
) -> ActionResult:
    from sparkplug.client import threads
    from sparkplug.client.plan_files import parse_inputs

    state = await threads.update(
        client, agent, thread, parse_inputs(values), as_node=as_node, checkpoint=checkpoint
    )
    data = plain(state)
    following = f"; next: {', '.join(state.next)}" if state.next else ""
    return ActionResult(f"{agent}, thread {thread}: changed{following}", data)


async def _forget(client: Client, agent: str, thread: str) -> ActionResult:
    from sparkplug.client import threads

    await threads.forget(client, agent, thread)
    return ActionResult(f"{agent}, thread {thread}: forgotten", {"agent": agent, "thread": thread})


THREAD_ACTIONS: tuple[Action, ...] = (
    Action(
        id="threads.set",
        title="Change state of thread",
        help="change the state of one of a LangGraph agent's threads",
        verb=("threads", "set"),
        target="agent",
        arguments=(
            AGENT,
            _THREAD,
            Argument(
                "values",
                "pairs",
                "what to change, key=value; a value is JSON, else text",
                flag="--value",
                repeated=True,
            ),
            Argument("as_node", "text", "as if this node had", default="", flag="--as-node"),
            Argument(
                "checkpoint", "text", "of the state as it was then", default="", flag="--checkpoint"
            ),
        ),
        applies=_keeps_threads,
        check=_check,
        run=_set,
        preview=lambda agent, thread, **_: f"would change the state of thread {thread} of {agent}",
    ),
    Action(
        id="threads.forget",
        title="Forget thread",
        help="delete all that a LangGraph agent keeps of a thread",
        verb=("threads", "forget"),
        target="agent",
        arguments=(AGENT, _THREAD),
        danger=True,
        applies=_keeps_threads,
        check=_check,
        run=_forget,
        preview=lambda agent, thread, **_: f"would delete thread {thread} of {agent}",
    ),
)
