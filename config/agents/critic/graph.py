"""Critic's graph: check the brief; while something is wrong, have scribe correct it, twice at most.

```
gather -> check -> conclude
            ^  \\
            |   v
          send_back
```
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from sparkplug.agents import current
from sparkplug.schema.errors import SparkplugError

from .review import review

_MAX_ROUNDS = 2
_SURVEY_DEADLINE_S = 60.0
_REVISION_DEADLINE_S = 70.0


class Wanted(TypedDict, total=False):
    """What critic is asked: the brief, and the survey it is about. A prompt is a brief."""

    action: str
    prompt: str
    brief: str
    survey: dict[str, Any]


class Verdict(TypedDict, total=False):
    """What critic answers: the final brief, and whether it holds."""

    text: str
    approved: bool
    rounds: int
    problems: list[str]
    checked: int


class State(Wanted, Verdict, total=False):
    """What the nodes pass on. `silent` says why scribe is not asked any more."""

    silent: str


async def gather(state: State) -> State:
    """Take the brief, and the survey or a fresh one from sentinel."""
    brief = state.get("brief") or state.get("prompt", "")
    survey = state.get("survey")
    if not survey:
        survey = await current().ask("sentinel", action="survey", timeout=_SURVEY_DEADLINE_S)
    return {"brief": brief, "survey": survey, "rounds": 0}


async def check(state: State) -> State:
    """Compare every figure of the brief with what was measured."""
    found = review(state["brief"], state["survey"])
    return {"problems": found.problems, "checked": found.checked}


def enough(state: State) -> str:
    """Send it back while it is wrong and there is a round left."""
    if state["problems"] and state["rounds"] < _MAX_ROUNDS and not state.get("silent"):
        return "send_back"
    return "conclude"


async def send_back(state: State) -> State:
    """Have scribe correct the brief."""
    rounds = state["rounds"] + 1
    try:
        answer = await current().ask(
            "scribe",
            action="revise",
            timeout=_REVISION_DEADLINE_S,
            survey=state["survey"],
            previous=state["brief"],
            problems=state["problems"],
        )
    except (SparkplugError, TimeoutError) as error:
        return {"rounds": rounds, "silent": f"scribe did not correct it: {error or 'no answer'}"}
    text = answer.get("text") if isinstance(answer, dict) else answer
    if not isinstance(text, str) or not text.strip():
        return {"rounds": rounds, "silent": "scribe did not correct it: it answered nothing"}
    return {"rounds": rounds, "brief": text}


async def conclude(state: State) -> State:
    """The brief, with what critic has to say about it at its end."""
    problems = [*state["problems"]]
    if state.get("silent"):
        problems.append(state["silent"])
    rounds = state["rounds"]
    approved = not problems
    if approved:
        sent = {0: "", 1: ", after one correction"}.get(rounds, f", after {rounds} corrections")
        end = f"Checked: all {state['checked']} figures agree with the telemetry{sent}."
    else:
        end = "## Not confirmed\n\nThe check found what could not be put right:\n\n" + "\n".join(
            f"- {problem}" for problem in problems
        )
    return {
        "text": f"{state['brief'].rstrip()}\n\n{end}\n",
        "approved": approved,
        "problems": problems,
        "checked": state["checked"],
        "rounds": rounds,
    }


_graph = StateGraph(State, input_schema=Wanted, output_schema=Verdict)
_graph.add_node("gather", gather)
_graph.add_node("check", check)
_graph.add_node("send_back", send_back)
_graph.add_node("conclude", conclude)
_graph.add_edge(START, "gather")
_graph.add_edge("gather", "check")
_graph.add_conditional_edges("check", enough, ["send_back", "conclude"])
_graph.add_edge("send_back", "check")
_graph.add_edge("conclude", END)

graph = _graph.compile(name="critic")
