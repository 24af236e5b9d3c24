"""What plans may say is checked before anything runs, with the place of every reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkplug.schema.documents import document_schema
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.plan import MOST_STEPS, Plan
from sparkplug.schema.plan_check import load_plan, parse_plan
from sparkplug.schema.plan_inputs import checked_inputs

INNER = "plans: {inner: {name: inner, inputs: {n: {required: true}}, steps: [{id: x, value: 1}]}}"


def plan(*steps: str, head: str = INNER) -> str:
    return "\n".join(["name: p", head, "steps:", *(f"- {{{step}}}" for step in steps), ""])


def refusal(text: str, agents: set[str] | None = None) -> str:
    with pytest.raises(InvalidError) as caught:
        parse_plan(text, agents, "p.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("id: a, agent: x, prompt: hi, retry: {max: -1}", "steps[0].retry.max: must be at least 0"),
        ("id: a, agent: x, prompt: hi, retry: {max: often}", "expected a whole number, got text"),
        ("id: a, agent: x, prompt: hi, action: go", "an action or a prompt, and only one of them"),
        ("id: a, agent: x", "an action or a prompt, and only one of them"),
        ("id: a, branch: []", "steps[0].branch: at least 1, not 0"),
        ("id: a, agent: x, prompt: hi, wait: 3s", "does one thing, not agent and wait"),
        ("id: a, wait: soon", "a duration is a number with a unit"),
        ("id: a, agent: x, prompt: p, join: any", "join says how many of depends_on"),
        ("id: a, value: 1, approve: human", "what a person approves is a step that asks an agent"),
        ("id: a, agent: x, prompt: p, approve: robot", "expected human, or keys"),
        ("id: a, human: {ask: q, default: x}", "a default is taken at a deadline"),
        ("id: a, human: {ask: q, deadline: 1s, options: [a], default: b}", "none of the options"),
        ("id: a, agent: x, prompt: p, loop: {until: x}", "steps[0].loop.max is missing"),
        ("id: a, agent: x, prompt: p, loop: {max: 1001}", "must be at most 1000"),
        ("id: a, agent: x, prompt: p, map: {over: [1]}, loop: {max: 2}", "map or loop"),
        ("id: a, branch: [{then: [b]}]", "p.yaml:4:28: no step b"),
        ("id: a, switch: {on: x, cases: {y: [a]}}", "the steps wait for each other: a -> a"),
        ("id: a, plan: inmer, input: {n: 1}", "no plan inmer, did you mean inner?"),
        ("id: a, plan: inner, input: {m: 1, n: 2}", "plan inner has no input m"),
        ("id: a, plan: inner", "plan inner wants the input n"),
        ("id: a, agent: x, prompt: p, fallback: {agent: y, step: b}", "a fallback is one of"),
        ("id: a, agent: x, prompt: p, fallback: {step: a}", "cannot stand in for itself"),
        ("id: a, value: 1, fallback: {agent: y}", "a fallback agent is of a step that asks"),
        ("id: a, agent: X!, prompt: p", "does not have the form"),
        ("id: a, agent: x, prompt: p, budget: {tokens: 0}", "must be at least 1"),
        ("id: a, agent: x, prompt: '{{ item }}'", "unknown variable item"),
        ("id: a, agent: x, prompt: '{{ output }}', loop: {max: 2}", "unknown variable output"),
        ("id: a, team: {name: t}", "a team is started, with agents, or removed"),
        ("id: a, agent: x, prompt: \"{{ ''.__class__.__mro__ }}\"", "__class__ is Python's own"),
        ("id: a, agent: x, prompt: \"{{ inputs['__init__'] }}\"", "__init__ is Python's own"),
        ("id: a, agent: x, prompt: \"{{ inputs | attr('x') }}\"", "attr is Python's own"),
        ("id: a, agent: x, prompt: '{{ cycler.__init__ }}'", "unknown variable cycler"),
    ],
)
def test_what_does_not_hold_is_told_with_its_place(step: str, said: str) -> None:
    told = refusal(plan(step))
    assert said in told
    assert told.startswith("p.yaml:")


def test_names_of_maps_and_loops_are_known_where_they_are() -> None:
    parse_plan(
        plan(
            "id: a, agent: x, prompt: '{{ host }} {{ index }}', map: {over: [1], as: host}",
            "id: b, agent: x, prompt: '{{ round }} {{ last }}', "
            "loop: {max: 2, while: '{{ output }}'}",
            "id: c, agent: '{{ item }}', prompt: p, map: {over: [x]}, fallback: {plan: inner, "
            "input: {n: '{{ error }} {{ item }}'}}",
        )
    )


def test_a_bomb_is_refused() -> None:
    steps = [{"id": f"s{n}", "value": 1} for n in range(10_000)]
    with pytest.raises(ValueError, match=f"at most {MOST_STEPS} items"):
        Plan.model_validate({"name": "p", "steps": steps})
    inner = {"name": "i", "steps": steps[:1500]}
    with pytest.raises(ValueError, match="at most 2000 steps in all"):
        Plan.model_validate({"name": "p", "steps": steps[:1500], "plans": {"i": inner}})
    deep = {"name": "d", "steps": steps[:1], "plans": {"i": inner}}
    with pytest.raises(ValueError, match="at most 2000 steps in all"):
        Plan.model_validate({"name": "p", "steps": steps[:600], "plans": {"d": deep}})
    assert f"steps: at most {MOST_STEPS}, not 2001" in refusal(
        "name: p\nsteps:\n" + "".join(f"  - {{id: s{n}, value: 1}}\n" for n in range(2001))
    )


def test_plans_that_run_each_other_are_refused() -> None:
    head = (
        "plans: {one: {name: one, steps: [{id: x, plan: two}]}, "
        "two: {name: two, steps: [{id: x, plan: one}]}}"
    )
    assert "the plans run each other: " in refusal(plan("id: a, plan: one", head=head))
    assert "no plan p" in refusal(plan("id: a, plan: p", head="description: itself"))


def test_a_plan_beside_the_file_is_brought_in(tmp_path: Path) -> None:
    (tmp_path / "outer.yaml").write_text("name: outer\nsteps: [{id: a, plan: inner}]\n")
    (tmp_path / "inner.yaml").write_text("name: inner\nsteps: [{id: a, plan: last}]\n")
    (tmp_path / "last.yaml").write_text("name: last\nsteps: [{id: a, agent: x, prompt: hi}]\n")
    made = load_plan(tmp_path / "outer.yaml")
    assert set(made.plans) == {"inner", "last"}
    with pytest.raises(InvalidError, match="no agent x"):
        load_plan(tmp_path / "outer.yaml", {"y"})
    (tmp_path / "last.yaml").write_text("name: last\nsteps: [{id: a, plan: outer}]\n")
    with pytest.raises(InvalidError, match="the plans run each other"):
        load_plan(tmp_path / "outer.yaml")


def test_inputs_have_types() -> None:
    made = Plan.model_validate(
        {
            "name": "p",
            "inputs": {"n": {"type": "integer"}, "b": {"type": "boolean"}, "l": {"type": "list"}},
            "steps": [{"id": "a", "value": 1}],
        }
    )
    assert checked_inputs(made, {"n": 3, "b": True, "l": [1]})["n"] == 3
    for wrong, said in (
        ({"n": True}, "expected a whole number, got true"),
        ({"n": 1.5}, "got the number 1.5"),
        ({"b": 1}, "expected true or false"),
        ({"l": {}}, "expected a list, got keys with values"),
    ):
        with pytest.raises(InvalidError, match=said):
            checked_inputs(made, wrong)
    text = plan("id: a, value: 1", head="inputs: {n: {type: integer, default: x}}")
    assert "inputs.n.default: expected a whole number, got text" in refusal(text)


def test_editors_are_told_of_every_policy() -> None:
    schema = document_schema("plan")
    step = schema["$defs"]["Step"]["properties"]
    assert {"map", "loop", "human", "approve", "fallback", "breaker", "budget"} <= set(step)
    assert schema["properties"]["strategy"]["enum"][2] == "conditional"
