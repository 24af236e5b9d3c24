"""Templates of plans: types kept, names checked, the sandbox, and its limits."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from sparkplug.plans.templates import MAX_TEXT, holds, render, render_text, variables
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.run import RunView, StepState, StepView

NAMES: dict[str, Any] = {
    "inputs": {"host": "123", "n": 3, "on": False, "none": None},
    "steps": {
        "survey": {
            "output": {"findings": [{"rule": "a", "bad": True}, {"rule": "b"}], "items": 7},
            "state": "done",
        },
        "skipped": {"output": None, "state": "skipped"},
    },
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("{{ inputs.host }}", "123"),
        ("{{ inputs.n }}", 3),
        ("  {{- inputs.n + 1 -}}  ", 4),
        ("{{ inputs.on }}", False),
        ("{{ inputs.none }}", None),
        ("{{ steps.survey.output.findings }}", NAMES["steps"]["survey"]["output"]["findings"]),
        ("{{ steps.survey.output.findings | map(attribute='rule') }}", ["a", "b"]),
        ("{{ steps.survey.output.findings | selectattr('bad', 'defined') | list | length }}", 1),
        ("{{ steps.survey.output.items }}", 7),
        ("{{ '}}' }}", "}}"),
        ("{{ inputs.n }}{{ inputs.n }}", "33"),
        ("n={{ inputs.n }} on={{ inputs.on }} none={{ inputs.none }}.", "n=3 on=false none=."),
        ("{{ steps.survey.output.findings }} ", [{"rule": "a", "bad": True}, {"rule": "b"}]),
        ("is {{ steps.survey.output.findings[1] }}", 'is {"rule": "b"}'),
        ("{% for one in steps.survey.output.findings %}{{ one.rule }}{% endfor %}", "ab"),
    ],
)
def test_one_expression_gives_its_value_and_all_else_gives_text(template: str, value: Any) -> None:
    result = render(template, NAMES, "input")
    assert result == value
    assert type(result) is type(value)


def test_lists_and_objects_are_gone_through() -> None:
    value = {"a": ["{{ inputs.n }}", 5, None], "b": {"c": "x{{ inputs.n }}"}}
    assert render(value, NAMES, "input") == {"a": [3, 5, None], "b": {"c": "x3"}}


def test_a_text_is_a_text_also_of_one_expression() -> None:
    assert render_text("{{ steps.survey.output.findings[1] }}", NAMES, "p") == '{"rule": "b"}'
    assert render_text("{{ inputs.n }}", NAMES, "p") == "3"


def test_the_values_of_a_run_are_not_templates() -> None:
    names = {"inputs": {"text": "{{ 1 + 1 }}"}, "steps": {}}
    assert render("{{ inputs.text }}", names, "input") == "{{ 1 + 1 }}"
    assert render("-{{ inputs.text }}", names, "input") == "-{{ 1 + 1 }}"


@pytest.mark.parametrize(
    "template",
    [
        "{{ inputs.absent }}",
        "{{ steps.absent.output }}",
        "x {{ inputs.absent }}",
        "{{ steps.skipped.output.findings }}",
        "{{ [inputs.absent] }}",
        "{{ inputs.n + 'x' }}",
        "{{ 1 / 0 }}",
        "{{ inputs",
        "{{ inputs.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ inputs.clear() }}",
        "{{ inputs.update({'a': 1}) }}",
        "{{ cycler }}",
        "{{ 'a' * 10000000000 }}",
        "{{ 10000000000 * [1] }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ range(100000000) | list }}",
        f"{{% for a in range(9999) %}}{'x' * (MAX_TEXT // 5000)}{{% endfor %}}",
        "{{ range(99999) | map('string') | map('list') | list + range(99999) | list }}",
    ],
)
def test_what_does_not_hold_is_refused_naming_the_place(template: str) -> None:
    with pytest.raises(InvalidError) as caught:
        render({"x": [template]}, NAMES, "steps.a.input")
    assert caught.value.where == "steps.a.input.x[0]"


@pytest.mark.parametrize(
    ("template", "true"),
    [
        ("{{ steps.survey.output.findings | length > 0 }}", True),
        ("{{ inputs.n > 5 }}", False),
        ("{{ steps.survey.output.findings }}", True),
        ("{{ steps.skipped.output }}", False),
        ("{{ inputs.n - 3 }}", False),
        ("{{ 'false' }}", False),
        ("{{ ' No ' }}", False),
        ("yes", True),
        ("{% if inputs.n == 3 %}go{% endif %}", True),
        ("{% if inputs.n == 4 %}go{% endif %}", False),
    ],
)
def test_when(template: str, true: bool) -> None:
    assert holds(template, NAMES, "when") is true


def test_templates_name_inputs_and_steps() -> None:
    view = RunView(
        id="r",
        plan="p",
        inputs={"a": 1},
        steps=[
            StepView(id="x", state=StepState.DONE, output=[1]),
            StepView(id="y", state=StepState.SKIPPED),
            StepView(id="z", state=StepState.RUNNING),
        ],
    )
    names = variables(view)
    assert names["inputs"] == {"a": 1}
    assert {name: (one["output"], one["state"]) for name, one in names["steps"].items()} == {
        "x": ([1], "done"),
        "y": (None, "skipped"),
        "z": (None, "running"),
    }
    assert set(names["steps"]["x"]) == {
        *("output", "state", "error", "agent", "attempts", "tokens", "seconds")
    }


@pytest.mark.parametrize(
    "template",
    [
        "{{ '%1000000000d' % 3 }}",
        "{{ '%1000000000d' | format(3) }}",
        "{{ '{:>1000000000}'.format(3) }}",
        "{{ '{:{w}}'.format(3, w=1000000000) }}",
        "{{ 'x' | center(1000000000) }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{{ 'x' | indent(1000000000, true) }}",
        "{{ [1] | batch(1000000000, 'x') | list }}",
        "{{ [1, 2] | tojson(1000000000) }}",
        "{{ ('x' * 1000000).replace('x', 'y' * 1000000) }}",
        "{{ ('x' * 100000).join([''] * 100000) }}",
        "{{ range(100000) | map('string') | map('center', 100000) | join }}",
        "{{ 'a'.translate({97: 'b' * 1000000}) }}",
        "{{ (1).to_bytes(1000000000, 'big') }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(x='x') %}" + "{% set n.x = n.x ~ n.x %}" * 99,
        "{% set n = namespace(x=[1]) %}" + "{% set n.x = n.x + n.x %}" * 99,
        "{% set a %}{{ 'x' * 1000000 }}{% endset %}"
        + "".join("{% set a %}{{ a }}{{ a }}{% endset %}" for _ in range(40)),
    ],
)
def test_a_template_takes_no_more_memory_or_time_than_it_may(template: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidError, match=r"on its way|too much for a template"):
        render(template, {}, "steps.a.value")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, "kilobytes"


def test_what_is_paid_for_gives_what_it_always_gave() -> None:
    text = (
        "{{ 3 ~ 'a' ~ none }} {{ 1 + 2 }} {{ 7 % 4 }} {{ '%03d' % 7 }} {{ '{:>3}'.format(3) }} "
        "{{ 'run 2026113001 {}'.format(1) }} {{ [3, 1] | sort | join(', ') }} "
        "{% for x in [1, 2] %}{{ loop.index }}/{{ loop.length }} {% else %}none{% endfor %}"
        "{{ 'ab' | center(6) }}{{ 'a-b'.replace('-', '+') }} {{ {'a': 1} | tojson }} "
        "{% set kept | upper %}x{% endset %}{{ kept }} {{ [1, 2] | map('string') | list }}"
    )
    assert render(text, {}, "x") == (
        '3aNone 3 3 007   3 run 2026113001 1 1, 3 1/2 2/2   ab  a+b {"a": 1} X ["1", "2"]'
    )
