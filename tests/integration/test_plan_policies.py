"""What a plan may say of its steps, each told by a run on a real server."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fakes.mesh import AgentFailureError, Asked, HostedAgents
from fakes.mesh_server import started
from fakes.planners import PlanMesh
from sparkplug.bus.cancellation import end
from sparkplug.bus.journal import read_journal
from sparkplug.bus.synadia import CANCELLED_CODE
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError
from sparkplug.schema.run import RunState, StepState

pytestmark = pytest.mark.asyncio(loop_scope="module")

_calls: Counter[str] = Counter()
_gates: dict[str, asyncio.Event] = {}


async def worker(asked: Asked) -> Any:
    """Does what its input says: fails so often, waits for a gate, gives a value back."""
    key = str(asked.input.get("key", asked.ids["key"]))
    _calls[key] += 1
    if _calls[key] <= int(asked.input.get("fail", 0)):
        raise AgentFailureError(
            int(asked.input.get("code", 500)), str(asked.input.get("say", "no luck"))
        )
    if "gate" in asked.input:
        await _gates.setdefault(asked.input["gate"], asyncio.Event()).wait()
    if "tokens" in asked.input:
        return {"usage": {"total_tokens": asked.input["tokens"]}}
    return asked.input.get("give", asked.ids["step"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PlanMesh]:
    folder: Path = tmp_path_factory.mktemp("plans")
    async with started(folder) as server:
        agents = HostedAgents(await server.connect("agents"))
        await agents.resolve()
        for name in ("worker", "spare", "third"):
            await agents.host(name, worker, capability="working")
        found = PlanMesh(server, await server.connect("face"), agents)
        await found.plan()
        yield found
        await found.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                await agents.close()


def step(name: str, *after: str, give: Any = None, **more: Any) -> dict[str, Any]:
    """A step that asks the worker; further keys of its input under `of`."""
    given = {**({} if give is None else {"give": give}), **more.pop("of", {})}
    base: dict[str, Any] = {"id": name, "agent": "worker", "action": "do", "input": given}
    return {**base, "depends_on": list(after), **more}


def plan(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "p", "steps": list(steps), **more}


def states(view: Any) -> dict[str, str]:
    return {one.id: str(one.state) for one in view.steps}


async def test_conditional_runs_the_first_whose_when_is_true(mesh: PlanMesh) -> None:
    steps = [
        step("low", give="l", when="{{ inputs.n < 3 }}"),
        step("mid", give="m", when="{{ inputs.n < 6 }}"),
        step("high", give="h"),
    ]
    told = plan(*steps, strategy="conditional", inputs={"n": {"type": "integer"}})
    for number, chosen in ((1, "l"), (5, "m"), (9, "h")):
        view = await mesh.done(told, n=number)
        assert view.output == chosen
        assert sum(one.state is StepState.DONE for one in view.steps) == 1


async def test_branch_and_switch_take_one_way_and_skip_what_is_only_on_others(
    mesh: PlanMesh,
) -> None:
    told = plan(
        step("n", give=7),
        {
            "id": "way",
            "depends_on": ["n"],
            "branch": [
                {"when": "{{ steps.n.output > 9 }}", "then": ["big"]},
                {"then": ["small"]},
            ],
        },
        step("big"),
        step("bigger", "big"),
        step("small", give="s"),
        {
            "id": "case",
            "depends_on": ["small"],
            "switch": {"on": "{{ steps.small.output }}", "cases": {"s": ["yes"], "t": ["no"]}},
        },
        step("yes"),
        step("no"),
        step("end", "bigger", "small"),
    )
    view = await mesh.done(told)
    assert states(view) == {
        "n": "done",
        "way": "done",
        "big": "skipped",
        "bigger": "skipped",
        "small": "done",
        "case": "done",
        "yes": "done",
        "no": "skipped",
        "end": "done",
    }


async def test_joins_go_on_with_any_or_some_and_bear_failures(mesh: PlanMesh) -> None:
    _gates["never"] = asyncio.Event()
    view = await mesh.done(
        plan(
            step("a", of={"fail": 9}),
            step("b", give=1),
            step("c", give=2),
            step("any", "a", "b", join="any"),
            step("two", "a", "b", "c", join=2),
        )
    )
    assert view.state is RunState.DONE
    assert states(view)["a"] == "failed"
    view = await mesh.done(
        plan(step("a", of={"fail": 9}), step("b", give=1), step("two", "a", "b", join=2))
    )
    assert view.state is RunState.FAILED
    assert view.error == "step two failed: 1 of 2 came through, it needs 2"


async def test_a_map_goes_over_a_list_at_most_so_many_at_once(mesh: PlanMesh) -> None:
    _gates["map"] = asyncio.Event()
    told = plan(
        step("list", give=list(range(7))),
        step(
            "each",
            "list",
            map={"over": "{{ steps.list.output }}", "as": "n", "concurrency": 3},
            of={"give": "{{ n * 10 + index }}", "gate": "map", "key": "map"},
        ),
        output="{{ steps.each.output | sum }}",
    )
    run = await mesh.submit(told)
    async with asyncio.timeout(60):
        while _calls["map"] < 3:
            await asyncio.sleep(0.01)
    view = await mesh.view(run)
    each = view.step("each")
    assert each is not None
    assert sum(item.state is StepState.RUNNING for item in each.items) == 3
    _gates["map"].set()
    view = await mesh.ended(run)
    assert view.output == sum(n * 11 for n in range(7))
    assert [item.output for item in view.steps[1].items] == [n * 11 for n in range(7)]


async def test_a_map_can_do_with_some(mesh: PlanMesh) -> None:
    fails = "{{ 9 if n == 1 else 0 }}"
    over = {"over": [0, 1, 2], "as": "n", "join": 2}
    view = await mesh.done(plan(step("m", map=over, of={"fail": fails, "give": "{{ n }}"})))
    assert view.state is RunState.DONE
    assert sum(item.state is StepState.DONE for item in view.steps[0].items) >= 2
    # Those that are not needed any more are not waited for.
    _gates["never"] = asyncio.Event()
    hangs = {"give": "{{ n }}", "gate": "{{ 'never' if n else 'open' }}"}
    _gates["open"] = asyncio.Event()
    _gates["open"].set()
    over = {"over": [0, 1, 2], "as": "n", "join": "any"}
    view = await mesh.done(plan(step("m", map=over, of=hangs)))
    assert view.output == [0, None, None]
    view = await mesh.done(plan(step("m", map={"over": [0, 1], "as": "n"}, of={"fail": fails})))
    assert "1 of 2 came through, it needs 2" in (view.error or "")


async def test_a_loop_ends_when_it_is_told_or_at_its_bound(mesh: PlanMesh) -> None:
    loop = {"max": 9, "until": "{{ output >= 30 }}"}
    view = await mesh.done(plan(step("l", loop=loop, of={"give": "{{ (last or 1) * 3 + round }}"})))
    assert view.output == (((1 * 3 + 1) * 3 + 2) * 3 + 3)
    assert [item.output for item in view.steps[0].items] == [4, 14, 45]
    view = await mesh.done(plan(step("l", loop={"max": 2}, of={"give": "{{ round }}"})))
    assert (view.output, len(view.steps[0].items)) == (2, 2)


async def test_a_plan_is_a_step_of_another_in_a_run_of_its_own(mesh: PlanMesh) -> None:
    inner = {
        "name": "inner",
        "inputs": {"n": {"required": True}},
        "steps": [step("in", give="{{ inputs.n + 1 }}")],
    }
    told = plan(
        {"id": "sub", "plan": "inner", "input": {"n": "{{ item }}"}, "map": {"over": [1, 2]}},
        plans={"inner": inner},
    )
    view = await mesh.done(told)
    assert view.output == [2, 3]
    child = view.steps[0].items[0].child
    assert child is not None
    below = await mesh.view(child)
    assert below.parent is not None
    assert (below.parent.run, below.parent.step, below.parent.depth) == (view.id, "sub[0]", 1)


async def test_a_cancel_reaches_the_runs_that_are_steps(mesh: PlanMesh) -> None:
    inner = {"name": "inner", "steps": [step("in", of={"gate": "shut", "key": "shut"})]}
    run = await mesh.submit(plan({"id": "sub", "plan": "inner"}, plans={"inner": inner}))
    async with asyncio.timeout(60):
        while not _calls["shut"]:
            await asyncio.sleep(0.01)
    await mesh.cancel(run)
    view = await mesh.ended(run)
    assert view.state is RunState.CANCELLED
    child = (await mesh.entries(run))[2].child
    assert child is not None
    assert (await mesh.ended(child)).state is RunState.CANCELLED


async def test_timers_and_values_need_no_agent(mesh: PlanMesh) -> None:
    view = await mesh.done(
        plan(
            {"id": "t", "wait": "30ms"},
            {
                "id": "v",
                "value": {"n": "{{ 2 + 3 }}", "all": [1, "{{ inputs.x }}"]},
                "depends_on": ["t"],
            },
            inputs={"x": {"default": "y"}},
        )
    )
    assert view.output == {"n": 5, "all": [1, "y"]}
    assert view.steps[0].finished is not None
    assert view.steps[0].started is not None
    assert view.steps[0].finished - view.steps[0].started >= timedelta(milliseconds=25)


async def test_retries_only_of_what_is_told(mesh: PlanMesh) -> None:
    retry = {"max": 3, "backoff": 0, "match": ["RATE"]}
    view = await mesh.done(plan(step("a", retry=retry, of={"fail": 2, "say": "rate limit"})))
    assert (view.state, view.steps[0].attempts) == (RunState.DONE, 3)
    view = await mesh.done(plan(step("a", retry=retry, of={"fail": 2, "say": "bad key"})))
    assert (view.state, view.steps[0].attempts) == (RunState.FAILED, 1)


async def test_silence_ends_an_attempt(mesh: PlanMesh) -> None:
    told = plan(step("a", idle_timeout="100ms", of={"gate": "shut"}))
    view = await mesh.done(told)
    assert "worker/0 said nothing for 0.1 s" in (view.error or "")
    retry = {"max": 1, "on": ["timeout"]}
    view = await mesh.done(plan(step("a", retry=retry, of={"gate": "shut"}), idle_timeout="100ms"))
    assert view.steps[0].attempts == 1


async def test_a_fallback_agent_step_or_plan_stands_in(mesh: PlanMesh) -> None:
    other = {"name": "other", "inputs": {"why": {}}, "steps": [step("x", give="{{ inputs.why }}")]}
    view = await mesh.done(
        plan(
            step("agent", of={"fail": 1, "give": "a"}, fallback={"agent": "spare"}),
            step("step", of={"fail": 9}, fallback={"step": "instead"}),
            step("instead", give="i"),
            step("unneeded", give="u", fallback={"step": "idle"}),
            step("idle"),
            step(
                "plan",
                of={"fail": 9, "say": "so sad"},
                fallback={"plan": "other", "input": {"why": "{{ error[-6:] }}"}},
            ),
            plans={"other": other},
            output="{{ [steps.agent.output, steps.step.output, steps.plan.output] }}",
        )
    )
    assert view.error is None
    assert view.output == ["a", "i", "so sad"]
    assert states(view)["idle"] == "skipped"
    assert view.steps[0].agent == "spare"
    assert view.steps[0].attempts == 2


async def test_a_plan_that_failed_is_stood_in_for(mesh: PlanMesh) -> None:
    lite = {"name": "lite", "inputs": {"host": {}}, "steps": [step("x", give="{{ inputs.host }}")]}
    told = plan(
        step("a", of={"fail": 9}),
        inputs={"host": {"default": "h1"}, "other": {}},
        fallback={"plan": "lite"},
        plans={"lite": lite},
    )
    view = await mesh.done(told)
    assert (view.state, view.output) == (RunState.DONE, "h1")
    assert view.fallback is not None
    assert view.steps[0].state is StepState.FAILED


async def test_an_open_breaker_asks_nobody(mesh: PlanMesh) -> None:
    breaker = {"failures": 2, "within": "1m", "open": "1m"}
    bad = step("a", agent="third", retry={"max": 5, "backoff": 0}, breaker=breaker)
    bad["input"] = {"fail": 99, "key": "breaker"}
    view = await mesh.done(plan(bad))
    assert "agent third has failed 2 times of late" in (view.error or "")
    assert _calls["breaker"] == 2
    found = await read_journal(mesh.bus, view.id)
    seen = [(e.kind, e.breaker.state, e.breaker.failures) for e in found if e.breaker]
    assert seen == [
        ("step-started", "closed", 0),
        ("step-retried", "closed", 1),
        ("step-started", "closed", 1),
        ("step-retried", "open", 2),
        ("step-failed", "open", 2),
    ]
    assert view.steps[0].breaker is not None
    assert (view.steps[0].breaker.state, view.steps[0].breaker.whom) == ("open", "agent third")
    view = await mesh.done(plan({**bad, "fallback": {"agent": "worker"}, "input": {"give": "w"}}))
    assert view.output == "w"
    assert _calls["breaker"] == 2


@pytest.mark.parametrize("code", [400, CANCELLED_CODE])
async def test_a_breaker_counts_neither_wrong_input_nor_what_was_cancelled(
    mesh: PlanMesh, code: int
) -> None:
    bad = step("a", agent="spare", breaker={"failures": 1, "within": "1m", "open": "1m"})
    bad["input"] = {"fail": 99, "key": f"unfit {code}", "code": code}
    for calls in (1, 2):
        view = await mesh.done(plan(bad))
        assert _calls[f"unfit {code}"] == calls
        assert view.steps[0].breaker is not None
        assert (view.steps[0].breaker.state, view.steps[0].breaker.failures) == ("closed", 0)


async def test_a_concurrency_key_is_held_across_runs(mesh: PlanMesh) -> None:
    _gates["key"] = asyncio.Event()
    held = step(
        "a",
        concurrency={"key": "gpu-{{ inputs.n }}", "limit": 1},
        of={"gate": "key", "key": "held"},
    )
    told = plan(held, inputs={"n": {"default": 0}})
    runs = [await mesh.submit(told) for _ in range(3)]
    async with asyncio.timeout(60):
        while not _calls["held"]:
            await asyncio.sleep(0.01)
    for run in runs:
        await mesh.reached(run, "started")
    begun = [(await mesh.view(run)).steps[0].attempts for run in runs]
    assert sorted(begun) == [0, 0, 1]
    _gates["key"].set()
    for run in runs:
        assert (await mesh.ended(run)).state is RunState.DONE


async def test_a_budget_of_tokens_ends_what_would_go_over_it(mesh: PlanMesh) -> None:
    told = plan(
        step("a", of={"tokens": 60}),
        step("b", "a", of={"tokens": 60}),
        step("c", "b", of={"tokens": 60}),
        budget={"tokens": 100},
    )
    view = await mesh.done(told)
    assert view.error == "step c failed: the budget of plan p is spent: 120 of 100 tokens"
    assert [one.tokens for one in view.steps] == [60, 60, 0]
    told = plan(step("a", of={"tokens": 7}, loop={"max": 9}, budget={"tokens": 20}))
    view = await mesh.done(told)
    assert "the budget of step a is spent: 21 of 20 tokens" in (view.error or "")


async def test_optional_steps_may_fail_and_always_steps_run_whatever_happens(
    mesh: PlanMesh,
) -> None:
    told = plan(
        step("maybe", of={"fail": 9}, optional=True),
        step("b", "maybe", give="{{ steps.maybe.state }}"),
        step("bad", "b", of={"fail": 9}),
        step("after", "bad"),
        step("clean", always=True, give="{{ steps.bad.error }}"),
    )
    view = await mesh.done(told)
    assert view.state is RunState.FAILED
    assert states(view) == {
        "maybe": "failed",
        "b": "done",
        "bad": "failed",
        "after": "cancelled",
        "clean": "done",
    }
    assert view.steps[1].output == "failed"
    assert "no luck" in view.steps[4].output
    run = await mesh.submit(
        plan(step("a", of={"gate": "shut", "key": "clean"}), step("clean", always=True))
    )
    async with asyncio.timeout(60):
        while not _calls["clean"]:
            await asyncio.sleep(0.01)
    await mesh.cancel(run)
    view = await mesh.ended(run)
    assert (view.state, states(view)["clean"]) == (RunState.CANCELLED, "done")


async def test_discovery_finds_agents_by_need_and_a_map_asks_each(mesh: PlanMesh) -> None:
    view = await mesh.done(
        plan(
            {"id": "who", "discover": {"capability": ["working", "flying"], "least": 2}},
            step(
                "each",
                "who",
                agent="{{ item.name }}",
                map={"over": "{{ steps.who.output }}"},
                of={"give": "{{ item.name }}"},
            ),
        )
    )
    assert view.output == ["spare", "third", "worker"]
    view = await mesh.done(plan({"id": "who", "discover": {"capability": ["flying"], "least": 1}}))
    assert "0 agents can flying; 1 are needed" in (view.error or "")


async def test_a_person_approves_with_another_input_or_says_no(mesh: PlanMesh) -> None:
    told = plan(step("a", give=1, approve="human", of={"key": "approve"}))
    run = await mesh.submit(told)
    await mesh.reached(run, "step-waiting")
    view = await mesh.view(run)
    assert view.state is RunState.WAITING
    ((waiting, question),) = view.questions
    assert (waiting.id, question.kind, question.input["give"]) == ("a", "approve", 1)
    assert not _calls["approve"]
    with pytest.raises(InvalidError, match="approve or reject"):
        await mesh.answer(run, "answer", value="x")
    changed = {"give": 5, "key": "approve"}
    await mesh.answer(run, "approve", step="a", value=changed, edited=True)
    view = await mesh.ended(run)
    assert view.output == 5
    assert view.steps[0].answer is not None
    assert view.steps[0].answer.by == "tester"
    with pytest.raises(ConflictError, match="already ended"):
        await mesh.answer(run, "reject")
    run = await mesh.submit(told)
    await mesh.reached(run, "step-waiting")
    await mesh.answer(run, "reject", reason="not today")
    view = await mesh.ended(run)
    assert view.error == "step a failed: rejected by tester: not today"
    assert _calls["approve"] == 1


async def test_an_answer_is_given_once(mesh: PlanMesh) -> None:
    human = {"ask": "which {{ inputs.what }}?", "options": ["a", "b"]}
    told = plan(
        {"id": "ask", "human": human},
        {"id": "wait", "human": {"ask": "go?"}, "depends_on": ["ask"]},
        inputs={"what": {"default": "one"}},
        output="{{ steps.ask.output }}",
    )
    run = await mesh.submit(told)
    await mesh.reached(run, "step-waiting")
    with pytest.raises(InvalidError, match="one of: a, b"):
        await mesh.answer(run, "answer", value="c")
    with pytest.raises(NotFoundError, match="no step nowhere"):
        await mesh.answer(run, "answer", value="a", step="nowhere")
    given = await asyncio.gather(
        *(mesh.answer(run, "answer", value=v, step="ask") for v in ("a", "b", "a")),
        return_exceptions=True,
    )
    assert sum(one is None for one in given) == 1
    assert {type(one) for one in given if one is not None} == {ConflictError}
    await mesh.reached(run, "step-waiting", 2)
    await mesh.answer(run, "answer", value="yes")
    view = await mesh.ended(run)
    taken = [e for e in await mesh.entries(run) if e.kind == "step-answered" and e.step == "ask"]
    assert len(taken) == 1
    assert taken[0].answer is not None
    assert view.output == taken[0].answer.value


async def test_a_deadline_takes_its_default_and_reminders_are_told(mesh: PlanMesh) -> None:
    human = {"ask": "colour?", "deadline": "100ms", "default": "blue"}
    view = await mesh.done(plan({"id": "a", "human": human}))
    assert view.output == "blue"
    assert view.steps[0].answer is not None
    assert view.steps[0].answer.how == "default"
    view = await mesh.done(plan({"id": "a", "human": {"ask": "colour?", "deadline": "50ms"}}))
    assert view.error == "step a failed: nobody answered in time"
    run = await mesh.submit(plan({"id": "a", "human": {"ask": "colour?", "remind": 1}}))
    await mesh.reached(run, "step-waiting", 2)
    ((_, question),) = (await mesh.view(run)).questions
    assert question.reminders == 1
    await mesh.cancel(run)


async def test_waiting_for_a_person_is_none_of_the_plans_time(mesh: PlanMesh) -> None:
    told = plan({"id": "ask", "human": {"ask": "go?"}}, step("a", "ask"), timeout="2s")
    run = await mesh.submit(told)
    await mesh.reached(run, "step-waiting")
    await asyncio.sleep(2.2)  # longer than the plan may work
    await mesh.answer(run, "answer", value="yes")
    assert (await mesh.ended(run)).state is RunState.DONE


async def test_a_paused_run_begins_nothing_until_it_goes_on(mesh: PlanMesh) -> None:
    _gates["pause"] = asyncio.Event()
    run = await mesh.submit(
        plan(step("a", of={"gate": "pause", "key": "paused"}), step("b", "a", give=2))
    )
    async with asyncio.timeout(60):
        while not _calls["paused"]:
            await asyncio.sleep(0.01)
    await mesh.pause(run)
    with pytest.raises(ConflictError, match="paused already"):
        await mesh.pause(run)
    _gates["pause"].set()
    await mesh.reached(run, "step-completed")
    view = await mesh.view(run)
    assert view.state is RunState.PAUSED
    assert states(view) == {"a": "done", "b": "pending"}
    await mesh.pause(run, resume=True)
    assert (await mesh.ended(run)).output == 2
    with pytest.raises(ConflictError, match="already ended"):
        await mesh.pause(run)


async def test_a_replay_shares_the_past_and_a_retry_what_was_done(mesh: PlanMesh) -> None:
    told = plan(
        step("a", give="{{ inputs.n }}", of={"key": "replay-a"}),
        step("b", "a", give="{{ steps.a.output }}{{ inputs.n }}"),
        step("c", "b", give="{{ steps.b.output }}!"),
        inputs={"n": {"default": "x"}},
    )
    first = await mesh.done(told)
    assert first.output == "xx!"
    again = await mesh.ended(await mesh.replay(first.id, "b", inputs={"n": "y"}))
    assert again.output == "xy!"
    assert _calls["replay-a"] == 1
    assert [one.shared for one in again.steps] == [True, False, False]
    assert again.past is not None
    assert again.past.run == first.id
    edited = await mesh.ended(await mesh.replay(first.id, "c", edit={"give": "new"}))
    assert edited.output == "new"
    with pytest.raises(ConflictError, match="every step of the run is done"):
        await mesh.replay(first.id)
    with pytest.raises(NotFoundError, match="no step d"):
        await mesh.replay(first.id, "d")
    shaky = plan(
        step("a", give=1, of={"key": "retry-a"}), step("b", "a", of={"fail": 1, "key": "retry-b"})
    )
    failed = await mesh.done(shaky)
    assert failed.state is RunState.FAILED
    retried = await mesh.ended(await mesh.replay(failed.id))
    assert retried.state is RunState.DONE
    assert (_calls["retry-a"], _calls["retry-b"]) == (1, 2)


async def test_runs_wait_for_their_turn_by_priority(mesh: PlanMesh) -> None:
    _gates["turn"] = asyncio.Event()
    base = plan(
        step("a", of={"gate": "turn", "key": "turn", "give": "{{ inputs.n }}"}),
        inputs={"n": {}},
        concurrency={"key": "one at a time"},
    )
    first = await mesh.submit({**base, "name": "first"}, n=1)
    async with asyncio.timeout(60):
        while not _calls["turn"]:
            await asyncio.sleep(0.01)
    low = await mesh.submit({**base, "priority": 1}, n=2)
    high = await mesh.submit({**base, "priority": 9}, n=3)
    assert {str((await mesh.view(run)).state) for run in (low, high)} == {"accepted"}
    _gates["turn"].set()
    views = [await mesh.ended(run) for run in (first, high, low)]
    begun = [view.started for view in views if view.started is not None]
    assert begun == sorted(begun)
    ends = [view.finished for view in views if view.finished is not None]
    assert all(end_ <= next_ for end_, next_ in zip(ends, begun[1:], strict=False))


async def test_another_planner_goes_on_in_the_middle_of_maps_loops_and_questions(
    tmp_path: Path,
) -> None:
    gate = asyncio.Event()
    seen: list[str] = []

    async def gated(asked: Asked) -> Any:
        seen.append(asked.ids["step"])
        if asked.ids["step"] in ("m[2]", "l[1]"):
            await gate.wait()
        return asked.input.get("give")

    async with started(tmp_path) as server:
        agents = HostedAgents(await server.connect("agents"))
        await agents.resolve()
        await agents.host("worker", gated)
        mesh = PlanMesh(server, await server.connect("face"), agents)
        first = await mesh.plan("n1")
        run = await mesh.submit(
            plan(
                step("m", map={"over": [1, 2, 3, 4], "concurrency": 3}, of={"give": "{{ item }}"}),
                step("l", loop={"max": 3}, of={"give": "{{ round }}"}),
                {"id": "h", "human": {"ask": "go?"}},
                {"id": "t", "wait": "1ms"},
                output="{{ [steps.m.output, steps.l.output, steps.h.output] }}",
            )
        )
        async with asyncio.timeout(60):
            while not {"m[0]", "m[1]", "m[2]", "m[3]", "l[0]", "l[1]"} <= set(seen):
                await asyncio.sleep(0.01)
        await mesh.reached(run, "step-waiting")
        await mesh.reached(run, "step-completed", 5)
        question = (await mesh.view(run)).questions[0][1].id
        first.cancel()
        await asyncio.wait([first])
        await mesh.answer_unserved(run, "yes")
        await mesh.plan("n2")
        await mesh.reached(run, "resumed")
        gate.set()
        view = await mesh.ended(run)
        assert view.output == [[1, 2, 3, 4], 3, "yes"]
        assert view.steps[2].answer is not None
        assert view.steps[2].answer.question == question
        assert Counter(seen) == {
            "m[0]": 1,
            "m[1]": 1,
            "m[2]": 2,
            "m[3]": 1,
            "l[0]": 1,
            "l[1]": 2,
            "l[2]": 1,
        }
        await mesh.stop()
        await end(first)
        await agents.close()
