"""LangChain's chat model through the port: what a LangGraph graph sees of it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel
from typing_extensions import TypedDict

from fakes.models import Kept, model_at
from fakes.openai_server import Reply, openai_server
from sparkplug.llm.langchain import SparkplugChatModel, model


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_messages_go_out_and_usage_comes_back() -> None:
    kept = Kept()
    async with openai_server(Reply(["hel", "lo"])) as server:
        chat = model_at(server.endpoint, "m", sink=kept)
        with chat.in_use():
            answer = await model().ainvoke([SystemMessage("be brief"), HumanMessage("hi")])
        assert [m["role"] for m in server.requests[0]["messages"]] == ["system", "user"]
    assert answer.content == "hello"
    assert answer.usage_metadata == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    assert len(kept.records) == 1


async def test_it_streams() -> None:
    async with openai_server(Reply(["a", "b", "c"])) as server:
        with model_at(server.endpoint, "m").in_use():
            pieces = [piece async for piece in SparkplugChatModel().astream("go")]
    assert [piece.content for piece in pieces if piece.content] == ["a", "b", "c"]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole + piece
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 3


async def test_a_graph_calls_tools_and_a_wrong_one_is_repaired_first() -> None:
    class State(TypedDict):
        messages: Annotated[list[Any], add_messages]

    thinking = SparkplugChatModel().bind_tools([add])

    async def think(state: State) -> dict[str, Any]:
        return {"messages": [await thinking.ainvoke(state["messages"])]}

    async def act(state: State) -> dict[str, Any]:
        call = state["messages"][-1].tool_calls[0]
        return {"messages": [ToolMessage(str(add.invoke(call["args"])), tool_call_id=call["id"])]}

    graph = StateGraph(State)
    graph.add_node("think", think)
    graph.add_node("act", act)
    graph.add_edge(START, "think")
    graph.add_conditional_edges(
        "think", lambda state: "act" if state["messages"][-1].tool_calls else END
    )
    graph.add_edge("act", "think")
    replies = [
        Reply(calls=[("sum_up", '{"a": 1, "b": 2}')]),
        Reply(calls=[("add", '{"a": 1, "b": 2}')]),
        Reply.text("three"),
    ]
    async with openai_server(*replies) as server:
        with model_at(server.endpoint, "m").in_use():
            end = await graph.compile().ainvoke({"messages": [HumanMessage("1 + 2?")]})
        assert server.requests[-1]["messages"][-1]["content"] == "3"
        assert server.requests[-1]["messages"][-2]["tool_calls"][0]["function"]["name"] == "add"
    assert end["messages"][-1].content == "three"
    assert len(end["messages"]) == 4


async def test_answers_of_a_schema_are_of_that_kind() -> None:
    class City(BaseModel):
        name: str

    async with openai_server(Reply.text('{"name": "Bern"}')) as server:
        with model_at(server.endpoint, "m").in_use():
            city = await model().with_structured_output(City).ainvoke("which?")
            raw = await model().with_structured_output(City, include_raw=True).ainvoke("which?")
    assert city == City(name="Bern")
    assert isinstance(raw, dict)
    assert raw["parsed"] == city
    assert isinstance(raw["raw"], AIMessage)


async def test_from_a_thread_the_call_is_made_on_the_loop() -> None:
    async with openai_server(Reply.text("ok")) as server:
        chat = model_at(server.endpoint, "m")
        with chat.in_use():
            inside = model()
            answer = await asyncio.to_thread(inside.invoke, "hi")
            pieces = await asyncio.to_thread(lambda: list(inside.stream("hi")))
    assert answer.content == "ok"
    assert "".join(str(piece.content) for piece in pieces) == "ok"


async def test_a_model_by_name_is_that_one() -> None:
    async with openai_server(Reply.text("a")) as one, openai_server(Reply.text("b")) as other:
        models = {
            "first": {"endpoint": one.endpoint, "model": "m"},
            "other": {"endpoint": other.endpoint, "model": "m"},
        }
        with model_at(models=models).in_use():
            assert (await model("other").ainvoke("?")).content == "b"
            assert (await model("first").ainvoke("?")).content == "a"
