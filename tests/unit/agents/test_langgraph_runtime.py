"""Interrupts as questions, what a stream tells, what checkpoints become, a langgraph.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Interrupt

from fakes.shipped import ask_runtime, load_graph
from sparkplug.agents.entrypoint import load_entrypoint
from sparkplug.agents.runtimes.langgraph.drawing import drawn
from sparkplug.agents.runtimes.langgraph.interrupts import draft_of, resume_value, slot_of
from sparkplug.agents.runtimes.langgraph.saving import Saving, restricted
from sparkplug.agents.runtimes.langgraph.states import ThreadStates, as_plain
from sparkplug.agents.runtimes.port import Seat
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import DeadlineError, InvalidError, NotFoundError, SparkplugError
from sparkplug.schema.question import Answer, QuestionKind
from sparkplug.schema.thread import MOST_NODES


class State(TypedDict):
    prompt: str
    text: str


def graph(*names: str, **nodes: Any) -> Any:
    built = StateGraph(State)
    before = START
    for name in names or nodes:
        built.add_node(name, nodes.get(name, lambda state: {}))
        built.add_edge(before, name)
        before = name
    return built


async def test_a_state_is_not_changed_in_what_it_does_not_have() -> None:
    states = ThreadStates(graph("one").compile(checkpointer=InMemorySaver()), "tested")
    states._keeps = True
    with pytest.raises(InvalidError, match="the state has no txt, did you mean text"):
        await states.update("t", {"txt": "x"}, "", "")


@pytest.mark.parametrize(
    ("value", "text", "kind"),
    [
        ("Which?", "Which?", QuestionKind.TEXT),
        ({"question": "Which?", "options": ["a", 2]}, "Which?", QuestionKind.CHOICE),
        ({"message": "May I?", "approve": True}, "May I?", QuestionKind.APPROVE),
        ({"text": "Now?", "deadline": 5, "default": "no"}, "Now?", QuestionKind.TEXT),
        # What the author meant otherwise is shown as it is, and any text answers it.
        ({"question": "Q", "options": []}, "Q", QuestionKind.TEXT),
        ({"question": "Q", "options": ["a", "a"]}, "Q", QuestionKind.TEXT),
        ([{"action_request": {"action": "rm"}}], '"rm"', QuestionKind.TEXT),
        (None, "null", QuestionKind.TEXT),
        ("", '""', QuestionKind.TEXT),
        ({"x": object()}, "object", QuestionKind.TEXT),
        ("y" * 9000, "yyy", QuestionKind.TEXT),
    ],
)
def test_an_interrupt_of_any_form_is_a_question(value: Any, text: str, kind: QuestionKind) -> None:
    draft = draft_of(Interrupt(value=value, id="an id"))
    assert text in draft.text
    assert draft.kind is kind
    assert draft.slot == slot_of(Interrupt(value=1, id="an id"))


def test_what_a_person_answered_is_what_interrupt_returns() -> None:
    one = Interrupt(value="Which?", id="x")
    assert resume_value(one, Answer(value=["a", 1])) == ["a", 1]
    with pytest.raises(DeadlineError):
        resume_value(one, Answer(how="expired"))
    ours = Interrupt(value={"sparkplug_question": {"text": "?"}}, id="x")
    assert Answer.model_validate(resume_value(ours, Answer(value=True))).value is True


async def test_what_a_node_writes_is_told_as_it_comes() -> None:
    def write(state: State) -> dict[str, Any]:
        get_stream_writer()("half way")
        get_stream_writer()({"done": 2})
        return {"text": "written"}

    answer, statuses = await ask_runtime(await load_graph(graph(write=write)), text="go")
    assert answer == "written"
    assert statuses == ["half way", '{"done": 2}', "write"]


@pytest.mark.parametrize(
    ("made", "answer"),
    [
        ("{} {}", "one two\n\nthree four"),
        ("{1}, they said", "one two\n\nthree four, they said"),
        ("neither", "one two\n\nthree four\n\nneither"),
    ],
)
async def test_what_models_said_is_told_once_and_another_answer_apart(
    made: str, answer: str
) -> None:
    said = ["one two", "three four"]
    model = GenericFakeChatModel(messages=iter(map(AIMessage, said)))

    async def think(state: State) -> dict[str, Any]:
        whole = [(await model.ainvoke("go")).content for _ in said]
        return {"text": whole[-1] if made == "{} {}" else made.format(*whole)}

    found, _ = await ask_runtime(await load_graph(graph(think=think)), text="go")
    assert found == answer


@dataclass
class Mine:
    """A type of the author's that the state names."""

    x: int


@dataclass
class Other:
    """A type that it does not name."""

    x: int


def test_of_what_is_stored_only_types_of_the_state_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("langgraph._internal._serde.STRICT_MSGPACK_ENABLED", True, raising=False)
    monkeypatch.setattr(
        "langgraph.checkpoint.serde._msgpack.STRICT_MSGPACK_ENABLED", True, raising=False
    )

    class Typed(TypedDict):
        messages: Annotated[list[Any], add_messages]
        mine: Mine

    built = StateGraph(Typed)
    built.add_node("n", lambda state: {})
    built.add_edge(START, "n")
    serde = restricted(built.compile())
    assert serde.loads_typed(serde.dumps_typed(Mine(1))) == Mine(1)
    assert not isinstance(serde.loads_typed(serde.dumps_typed(Other(1))), Other)
    # Nor is anything run that a checkpoint might name.
    assert restricted(graph("n").compile()).loads_typed(serde.dumps_typed({"a": [1]})) == {"a": [1]}


async def test_a_graph_keeps_the_checkpointer_it_was_compiled_with_unless_told() -> None:
    bus = Bus("nats://127.0.0.1:9", "_INBOX.test")
    own = InMemorySaver()
    compiled = graph("n").compile(checkpointer=own)
    kept = Saving(compiled, Seat())
    assert (await kept.open(bus)).checkpointer is own
    told = Saving(compiled, Seat(checkpoints="none"))
    assert (await told.open(bus)).checkpointer is None
    assert not told.keeps
    assert compiled.checkpointer is own


def test_a_graph_is_drawn_with_its_subgraphs_and_a_huge_one_is_cut() -> None:
    outer = graph("a", "b", b=graph("inner").compile()).compile()
    assert {"a", "b:inner"} <= {node.id for node in drawn(outer).nodes}
    huge = drawn(graph(*(f"n{number}" for number in range(MOST_NODES + 20))).compile())
    assert len(huge.nodes) == MOST_NODES
    assert huge.cut == 22
    kept = {node.id for node in huge.nodes}
    assert all({edge.source, edge.target} <= kept for edge in huge.edges)


def test_a_state_of_anything_is_told_as_json() -> None:
    value = {"set": {1}, "odd": object(), "mine": Mine(1), "long": ["x" * 30_000] * 9}
    told = as_plain(value)
    assert json.dumps(told)
    assert told["set"] == [1]
    assert told["long"][0] == "… 9 in all"


def write_manifest(folder: Path, manifest: Any) -> None:
    (folder / "src").mkdir()
    (folder / "src" / "flow_one.py").write_text("graph = 'the graph'\nother = 'another'\n")
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (folder / "langgraph.json").write_text(text)


def test_a_langgraph_json_names_its_graph_by_path_or_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLOW_KEY", raising=False)
    graphs = {"one": "./src/flow_one.py:graph", "two": {"path": "flow_one:other"}}
    write_manifest(tmp_path, {"graphs": graphs, "dependencies": ["."], "env": {"FLOW_KEY": "k"}})
    assert load_entrypoint("langgraph.json:one", [str(tmp_path)]) == "the graph"
    assert load_entrypoint("langgraph.json:two", [str(tmp_path)]) == "another"
    with pytest.raises(InvalidError, match="2 graphs"):
        load_entrypoint("langgraph.json", [str(tmp_path)])
    with pytest.raises(NotFoundError, match="no graph tow"):
        load_entrypoint("langgraph.json:tow", [str(tmp_path)])


@pytest.mark.parametrize(
    "manifest",
    [
        "{",
        "[]",
        {},
        {"graphs": []},
        {"graphs": {"a": 7}},
        {"graphs": {"a": "./nowhere.py:graph"}},
        {"graphs": {"a": "./src/flow_one.py:nothing"}},
        {"graphs": {"a": "no colon"}},
    ],
)
def test_a_langgraph_json_that_does_not_hold_says_so(tmp_path: Path, manifest: Any) -> None:
    write_manifest(tmp_path, manifest)
    with pytest.raises(SparkplugError) as told:
        load_entrypoint("langgraph.json", [str(tmp_path)])
    assert told.value.where
    with pytest.raises(NotFoundError):
        load_entrypoint("elsewhere/langgraph.json", [str(tmp_path)])
