"""Scribe's graph: get a survey, then write by a model or from a template.

```
gather -> by_model -> (no usable answer) -> by_template
      \\-> (no model) -----------------------^
```
"""

from __future__ import annotations

import json
from typing import Any

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from sparkplug.agents import current
from sparkplug.llm.errors import NoModelError

from .brief import template_brief, window
from .model_brief import SYSTEM, problem_with, tidied, writing_prompt

_MODEL_DEADLINE_S = 60.0
_SURVEY_DEADLINE_S = 60.0


class Wanted(TypedDict, total=False):
    """What scribe is asked: `survey` is sentinel's; `problems` and `previous` for `revise`."""

    action: str
    prompt: str
    survey: dict[str, Any]
    problems: list[str]
    previous: str


class Brief(TypedDict, total=False):
    """What scribe answers."""

    text: str
    written_by: str


class State(Wanted, Brief, total=False):
    """What the nodes pass on. `why_template` says why no model wrote it."""

    why_template: str


async def gather(state: State) -> State:
    """Take the survey that was given, in the input or as a prompt, or ask sentinel for one."""
    if state.get("survey"):
        return {}
    given = _survey_in(state.get("prompt", ""))
    if given is not None:
        return {"survey": given, "prompt": ""}
    survey = await current().ask("sentinel", action="survey", timeout=_SURVEY_DEADLINE_S)
    return {"survey": survey}


async def choose(state: State) -> str:
    """By a model when there is one."""
    return "by_model" if await current().llm.available() else "by_template"


async def by_model(state: State) -> State:
    """Have the model write; when its answer cannot be used, say why."""
    context = current()
    survey = state["survey"]
    prompt = writing_prompt(
        survey, state.get("prompt", ""), state.get("previous", ""), state.get("problems", [])
    )
    try:
        answer = await context.llm.answer(prompt, system=SYSTEM, timeout=_MODEL_DEADLINE_S)
    except NoModelError as error:
        return {"why_template": error.message}
    text = tidied(answer.text)
    problem = problem_with(text, survey)
    if problem is not None:
        return {"why_template": problem}
    name = answer.model
    return {
        "text": f"{text}\n\n---\n\nWritten by a model ({name}), {window(survey)}.\n",
        "written_by": f"model {name}",
    }


def usable(state: State) -> str:
    """On to the template when the model gave nothing."""
    return END if state.get("text") else "by_template"


async def by_template(state: State) -> State:
    """Write from the template."""
    why = state.get("why_template")
    written = "Written from a template" + (f": {why}." if why else "; no model is configured.")
    return {"text": template_brief(state["survey"], written), "written_by": "template"}


def _survey_in(prompt: str) -> dict[str, Any] | None:
    """A survey given as the text of a prompt."""
    try:
        found = json.loads(prompt)
    except ValueError:
        return None
    return (
        found if isinstance(found, dict) and {"host", "facts", "findings"} <= set(found) else None
    )


_graph = StateGraph(State, input_schema=Wanted, output_schema=Brief)
_graph.add_node("gather", gather)
_graph.add_node("by_model", by_model)
_graph.add_node("by_template", by_template)
_graph.add_edge(START, "gather")
_graph.add_conditional_edges("gather", choose, ["by_model", "by_template"])
_graph.add_conditional_edges("by_model", usable, ["by_template", END])
_graph.add_edge("by_template", END)

graph = _graph.compile(name="scribe")
