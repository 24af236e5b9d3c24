"""What needs a person: questions on Overview, answered there; and the graph of an agent's work."""

from __future__ import annotations

from typing import Any

from tui_centre import centre
from tui_mesh import Mesh

from sparkplug.bus import subjects
from sparkplug.bus.questions import question_key, questions, read_question
from sparkplug.schema.agent import ResolveReply, ResolveRequest, Target
from sparkplug.schema.agent_control import ControlReply, ControlRequest, RequestView
from sparkplug.schema.question import Question, QuestionKind, QuestionState, QuestionSubject
from sparkplug.schema.thread import (
    AgentGraph,
    GraphEdge,
    GraphNode,
    ThreadsReply,
    ThreadsRequest,
    ThreadState,
    ThreadView,
)


async def put(mesh: Mesh, id_: str, **changes: Any) -> None:
    """A question as a node has written it down."""
    fields: dict[str, Any] = {
        "id": id_,
        "kind": QuestionKind.APPROVE,
        "text": "Delete 3 stale volumes?",
        "subject": QuestionSubject(kind="request", agent="janitor", replica="0", request=id_[:8]),
        "asked_by": "janitor/0",
    }
    await questions(mesh.bus).put(question_key(id_), Question(**{**fields, **changes}))


async def answer_of(mesh: Mesh, id_: str) -> Any:
    found, _ = await read_question(mesh.bus, id_)
    return found.answer.value if found.answer is not None else None


async def test_a_question_is_seen_on_overview_and_approved_there(mesh: Mesh) -> None:
    await mesh.agent("janitor", "waiting-human")
    await put(mesh, "aaaaaaaa-0", data={"volumes": ["a", "b", "c"]})
    async with centre((120, 34)) as seen:
        await seen.shows("needs you 1", "? janitor/0", "Delete 3 stale volumes?")
        await seen.press("tab", "tab", "tab")
        while seen.app.focused is None or seen.app.focused.id != "overview-needs":
            await seen.press("tab")
        await seen.press("enter")
        await seen.shows("question aaaaaaaa-0", '"volumes"', "a approves, r rejects")
        await seen.press("a")
        await seen.becomes(lambda: answer_of(mesh, "aaaaaaaa-0"))
        assert await answer_of(mesh, "aaaaaaaa-0") is True
        await mesh.agent("janitor")
        await seen.press("escape")
        await seen.shows("nothing needs you")


async def test_keys_that_answer_open_what_is_selected_and_say_so_where_nothing_is(
    mesh: Mesh,
) -> None:
    await mesh.agent("janitor", "waiting-human")
    await put(mesh, "aaaaaaaa-0")
    async with centre((120, 34)) as seen:
        await seen.shows("needs you 1")
        # Elsewhere there is nothing to approve: no memory is asked for instead.
        await seen.press("a")
        await seen.shows("no memory is selected; what waits for you (1) is in Overview and Tasks")
        for key in ("r", "a"):
            while seen.app.focused is None or seen.app.focused.id != "overview-needs":
                await seen.press("tab")
            await seen.press(key)
            await seen.shows("question aaaaaaaa-0", "a approves, r rejects")
            assert await answer_of(mesh, "aaaaaaaa-0") is None
            await seen.press("escape")
        await seen.press("a", "a")
        await seen.becomes(lambda: answer_of(mesh, "aaaaaaaa-0"))
        assert await answer_of(mesh, "aaaaaaaa-0") is True


async def test_what_waits_for_a_person_is_seen_on_tasks_and_answered_there(mesh: Mesh) -> None:
    await mesh.agent("janitor")
    step = QuestionSubject(kind="step", run="brief-1", step="ask", request="b" * 8)
    await put(
        *(mesh, "bbbbbbbb-0"),
        kind=QuestionKind.CHOICE,
        text="Which host?",
        options=["gpu-1", "gpu-2"],
        subject=step,
        asked_by="run brief-1",
    )
    async with centre((80, 24), live=False, pane="tasks") as seen:
        await seen.shows("needs you 1", "? run brief-1", "Which host?", "queues")
        while seen.app.focused is None or seen.app.focused.id != "tasks-needs":
            await seen.press("tab")
        await seen.press("enter")
        await seen.shows("run brief-1, step ask", "2 gpu-2")
        await seen.press("2")
        await seen.becomes(lambda: answer_of(mesh, "bbbbbbbb-0"))
        assert await answer_of(mesh, "bbbbbbbb-0") == "gpu-2"
        await seen.press("escape")
        await seen.until(lambda: "needs you" not in seen.screen)


async def test_a_choice_by_its_number_and_a_text_typed(mesh: Mesh) -> None:
    await mesh.agent("janitor")
    await put(mesh, "bbbbbbbb-0", kind=QuestionKind.CHOICE, text="Which?", options=["red", "blue"])
    await put(mesh, "cccccccc-0", kind=QuestionKind.TEXT, text="Under which name?")
    async with centre((120, 34)) as seen:
        await seen.shows("needs you 2")
        while seen.app.focused is None or seen.app.focused.id != "overview-needs":
            await seen.press("tab")
        await seen.press("enter")
        await seen.shows("1 red", "2 blue")
        await seen.press("2")
        await seen.becomes(lambda: answer_of(mesh, "bbbbbbbb-0"))
        assert await answer_of(mesh, "bbbbbbbb-0") == "blue"
        await seen.press("escape")
        await seen.shows("needs you 1")
        await seen.press("enter")
        await seen.shows("Under which name?", "answer:")
        await seen.type("Ada")
        await seen.press("enter")
        await seen.becomes(lambda: answer_of(mesh, "cccccccc-0"))
        assert await answer_of(mesh, "cccccccc-0") == "Ada"


async def test_one_is_answered_from_the_line_and_somebody_was_quicker(mesh: Mesh) -> None:
    await mesh.agent("janitor")
    await put(mesh, "dddddddd-0")
    async with centre((120, 34)) as seen:
        await seen.shows("needs you 1")
        await seen.press("colon")
        await seen.type("questions reject dddddddd-0")
        await seen.press("enter")
        await seen.becomes(lambda: is_rejected(mesh))
        await seen.press("colon")
        await seen.type("questions approve dddddddd-0")
        await seen.press("enter")
        await seen.shows("was answered by")


async def is_rejected(mesh: Mesh) -> bool:
    found, _ = await read_question(mesh.bus, "dddddddd-0")
    return found.state is QuestionState.ANSWERED and found.answer is not None


async def test_a_hostile_question_draws_no_escapes(mesh: Mesh) -> None:
    await mesh.agent("janitor")
    await put(mesh, "eeeeeeee-0", text="\x1b[2Jgone\x07\n" * 50, asked_by="\x1b]0;x\x07/0")
    async with centre((80, 24)) as seen:
        await seen.shows("needs you 1")
        assert "\x1b" not in seen.screen
        assert "\x07" not in seen.screen


async def test_the_graph_of_an_agent_is_drawn_with_what_runs(mesh: Mesh) -> None:
    await mesh.agent("graphy", runtime="langgraph")
    subject = subjects.prompt("graphy", "tester", "0")

    async def resolve(_: ResolveRequest) -> ResolveReply:
        target = Target(name="graphy", replica="0", owner="tester", subject=subject)
        return ResolveReply(targets=[target])

    async def threads(request: ThreadsRequest) -> ThreadsReply:
        if request.verb == "list":
            return ThreadsReply(threads=[ThreadView(thread="tides"), ThreadView(thread="moons")])
        if request.verb == "get":
            values = {"of": request.thread}
            state = ThreadState(thread=request.thread, step=3, next=["check"], values=values)
            return ThreadsReply(states=[state])
        nodes = [GraphNode(id=name, label=name) for name in ("plan", "write", "check")]
        edges = [
            GraphEdge(source="plan", target="write"),
            GraphEdge(source="write", target="check", conditional=True),
        ]
        return ThreadsReply(graph=AgentGraph(nodes=nodes, edges=edges))

    async def control(_: ControlRequest) -> ControlReply:
        return ControlReply(requests=[RequestView(id="1", steps=["write"], thread="t")])

    serve = mesh.services.serve
    await serve(subjects.AGENTS_RESOLVE, ResolveRequest, resolve)
    await serve(subjects.agent_threads("graphy", "0"), ThreadsRequest, threads)
    await serve(subjects.agent_control("graphy", "0"), ControlRequest, control)
    await mesh.bus.flush()
    async with centre((120, 34)) as seen:
        await seen.shows("graphy")
        await seen.press("3", "colon")
        await seen.type("graph")
        await seen.press("enter")
        await seen.shows("plan", "● runs", "check", "graphy/0 write")
        await seen.press("t")
        await seen.shows("thread tides", "next: check", '"of": "tides"')
        await seen.press("t")
        await seen.shows("thread moons")
        await seen.press("t")
        await seen.shows("graphy/0 write")
