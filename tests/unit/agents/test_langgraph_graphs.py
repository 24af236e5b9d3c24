"""Graphs as people write them, run by `runtime: langgraph`."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

from fakes.shipped import ask_runtime
from fakes.shipped import load_graph as load


class Question(TypedDict):
    prompt: str
    n: int


class Answer(TypedDict):
    text: str
    length: int


class Both(Question, Answer):
    pass


def answer(state: dict[str, Any]) -> dict[str, Any]:
    return {"text": state["prompt"].upper(), "length": len(state["prompt"])}


def graph(**schemas: Any) -> Any:
    built = StateGraph(Both, **schemas)
    built.add_node("answer", answer)  # type: ignore[call-overload]
    built.add_edge(START, "answer")
    built.add_edge("answer", END)
    return built


async def test_the_standard_typed_dict_is_taken_as_a_state() -> None:
    """Before Python 3.12 pydantic cannot describe `typing.TypedDict`: the keys are kept."""
    runtime = await load(graph(input_schema=Question, output_schema=Answer))
    assert set(runtime.actions["invoke"]["properties"]) == {"prompt", "n"}


async def test_a_prompt_is_answered_with_text_and_a_call_with_the_whole_output() -> None:
    runtime = await load(graph(input_schema=Question, output_schema=Answer).compile())
    assert (await ask_runtime(runtime, text="abc"))[0] == "ABC"
    called, statuses = await ask_runtime(runtime, action="any", input={"prompt": "abcd"})
    assert called == {"text": "ABCD", "length": 4}
    assert statuses == ["answer"]
    assert (await ask_runtime(await load(graph), text="ab"))[0] == "AB"
