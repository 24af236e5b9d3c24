"""Plans are refused before anything runs, with the place of every reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.plan import Plan
from sparkplug.schema.plan_check import (
    check_plan,
    load_plan,
    parse_plan,
    template_environment,
)
from sparkplug.schema.plan_graph import Before, find_cycle

HOST_BRIEF = """\
name: host-brief
timeout: 5m
inputs:
  host: {description: which host}
steps:
  - id: survey
    agent: sentinel
    action: survey
    input: {host: "{{ inputs.host }}"}
  - id: write
    agent: scribe
    depends_on: [survey]
    when: "{{ steps.survey.output.findings | length > 0 }}"
    prompt: |
      Write about
      {% for finding in steps['survey'].output.findings %}{{ loop.index }} {{ finding }}
      {% endfor %}
  - id: check
    agent: critic
    depends_on: [write]
    prompt: "{{ steps.write.output }} of {{ steps.survey.output }}"
output: "{{ steps.check.output }}"
"""


def steps(*rows: str, head: str = "") -> str:
    lines = [f"- {{agent: a, prompt: p, {row}}}" for row in rows]
    return "\n".join(["name: p", *([head] if head else []), "steps:", *lines, ""])


def refusal(text: str, agents: set[str] | None = None) -> list[str]:
    with pytest.raises(InvalidError) as caught:
        parse_plan(text, agents, "p.yaml")
    return str(caught.value).splitlines()


def test_a_plan_that_holds() -> None:
    plan = parse_plan(HOST_BRIEF, {"sentinel", "scribe", "critic"})
    assert plan.dependencies() == {"survey": [], "write": ["survey"], "check": ["write"]}


def test_a_step_id_given_twice() -> None:
    assert refusal(steps("id: a", "id: a")) == ["p.yaml:4:29: a step a stands here already"]


def test_an_unknown_dependency() -> None:
    text = steps("id: survey", "id: b, depends_on: [survy]")
    assert refusal(text) == ["p.yaml:4:45: no step survy, did you mean survey?"]


def test_a_cycle_is_named_from_its_first_step() -> None:
    text = steps(
        "id: z", "id: a, depends_on: [c]", "id: b, depends_on: [a]", "id: c, depends_on: [b]"
    )
    assert refusal(text) == ["p.yaml:4:44: the steps wait for each other: a -> c -> b -> a"]


def test_a_step_that_waits_for_itself() -> None:
    assert refusal(steps("id: a, depends_on: [a]")) == [
        "p.yaml:3:44: the steps wait for each other: a -> a"
    ]


def test_a_chain_of_a_thousand_steps_is_no_cycle() -> None:
    graph = {f"s{n}": [f"s{n - 1}"] if n else [] for n in range(5000)}
    assert find_cycle(graph) == []
    graph["s0"] = ["s4999"]
    assert len(find_cycle(graph)) == 5000


def test_what_comes_before_what_is_found_in_a_graph_of_many_edges() -> None:
    names = [f"s{number}" for number in range(600)]
    graph = {name: names[:number] for number, name in enumerate(names)}
    before = Before(graph)
    assert before.waits("s599", "s0")
    assert not before.waits("s0", "s599")
    assert Before({"a": ["b"], "b": ["nowhere"], "c": ["b"]}).waits("c", "a"), "it may"
    assert Before({"a": ["b"], "b": ["a"], "c": []}).waits("c", "a"), "of a cycle nothing is said"
    assert not Before({"a": [], "b": ["a"], "c": ["b"]}).waits("b", "c")


def test_sequential_waits_for_the_step_before() -> None:
    text = steps("id: a", "id: b", "id: c, depends_on: [a]", head="strategy: sequential")
    assert parse_plan(text).dependencies() == {"a": [], "b": ["a"], "c": ["a", "b"]}


def test_sequential_that_waits_for_a_later_step() -> None:
    text = steps("id: a, depends_on: [b]", "id: b", head="strategy: sequential")
    assert "a -> b -> a" in refusal(text)[0]


def test_parallel_takes_no_dependencies() -> None:
    text = steps("id: a", "id: b, depends_on: [a]", head="strategy: parallel")
    assert refusal(text) == [
        "p.yaml:5:44: strategy parallel starts all steps at once; depends_on needs strategy graph"
    ]


def test_an_unknown_agent() -> None:
    assert refusal(HOST_BRIEF, {"sentinel", "scribes", "critic"}) == [
        "p.yaml:11:12: no agent scribe, did you mean scribes?"
    ]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("when: '{{ inputs.hots }}'", "no input hots, did you mean host?"),
        ("when: '{{ inputs[\"x\"] }}'", "no input x; declare it under inputs:"),
        ("when: '{{ steps.frist.output }}'", "no step frist, did you mean first?"),
        ("when: '{{ steps.side-way.output }}'", "no step side, write steps['side-way']"),
        ("when: '{{ steps[\"side-way\"].output }}'", "step b reads step side-way without"),
        ("when: '{{ steps.b.output }}'", "step b reads itself"),
        ("when: '{{ stepz.first }}'", "unknown variable stepz, did you mean steps?"),
        ("when: '{{ host }}'", "unknown variable host; there are inputs and steps"),
        ("when: '{{ inputs.host | lenght }}'", "template: no filter lenght, did you mean length?"),
        ("when: '{{ inputs.host is nmber }}'", "template: no test nmber, did you mean number?"),
        ("when: '{{ inputs.host '", "template: unexpected end of template"),
        ("when: '{% include \"/etc/passwd\" %}'", "template: a plan's template stands alone"),
        ("input: {k: [1, {deep: '{{ nope }}'}]}", "unknown variable nope"),
    ],
)
def test_templates(field: str, said: str) -> None:
    head = "inputs: {host: {}}"
    text = steps("id: first", "id: side-way", f"id: b, depends_on: [first], {field}", head=head)
    assert said in "\n".join(refusal(text))


def test_a_step_may_read_what_it_waits_for_through_others() -> None:
    reads = "when: '{{ steps.a.output }}'"
    text = steps("id: a", "id: b, depends_on: [a]", f"id: c, depends_on: [b], {reads}")
    assert parse_plan(text).steps[2].when == "{{ steps.a.output }}"


def test_the_output_may_read_every_step_but_no_other() -> None:
    assert refusal(steps("id: a") + "output: '{{ steps.b }}{{ steps.a }}'\n") == [
        "p.yaml:4:9: no step b"
    ]


def test_the_place_inside_a_block_is_its_own_line() -> None:
    text = HOST_BRIEF.replace("Write about", "Write\n      about {{ input.host }}")
    assert refusal(text) == ["p.yaml:16:7: unknown variable input, did you mean inputs?"]


def test_all_problems_at_once() -> None:
    text = HOST_BRIEF.replace("[survey]", "[survy]").replace("inputs.host", "inputs.hots")
    assert refusal(text, {"sentinel", "scribe"}) == [
        "p.yaml:9:19: no input hots, did you mean host?",
        "p.yaml:12:18: no step survy, did you mean survey?",
        "p.yaml:19:12: no agent critic",
    ]


@pytest.mark.parametrize(
    "template",
    ["{{ 10 ** 10 ** 10 }}", "{{ 'x' | center(10000000000) }}", "{{ 'x' * 10000000000 }}"],
)
def test_checking_evaluates_nothing(template: str) -> None:
    plan = Plan.model_validate(
        {"name": "p", "steps": [{"id": "a", "agent": "x", "prompt": template}]}
    )
    # Were any of them evaluated, this would not come back.
    assert check_plan(plan, None) == []


def test_a_template_too_deep_is_refused() -> None:
    prompt = "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}"
    plan = Plan.model_validate(
        {"name": "p", "steps": [{"id": "a", "agent": "x", "prompt": prompt}]}
    )
    (problem,) = check_plan(plan, None)
    assert (problem.place, problem.message) == ("steps[0].prompt", "template: nested too deeply")


def test_the_sandbox_refuses_what_leads_out() -> None:
    from jinja2.exceptions import SecurityError, UndefinedError

    environment = template_environment()
    with pytest.raises(SecurityError):
        environment.from_string("{{ inputs.__class__.__mro__[1] }}").render(inputs={})
    with pytest.raises(UndefinedError):
        environment.from_string("{{ inputs.missing }}").render(inputs={})


def test_a_plan_file(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(HOST_BRIEF)
    assert load_plan(file).name == "host-brief"
    file.write_text("name: p\nstep: []\n")
    with pytest.raises(InvalidError) as caught:
        load_plan(file)
    assert str(caught.value).splitlines() == [
        f"{file}:1:1: steps is missing",
        f"{file}:2:1: unknown key step, did you mean steps?",
    ]
    with pytest.raises(NotFoundError):
        load_plan(tmp_path / "none.yaml")
