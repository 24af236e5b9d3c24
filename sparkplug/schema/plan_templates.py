"""The templates of a plan: where they stand, and what is wrong with one by its form alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkplug.schema.plan import Plan, Step
from sparkplug.schema.problems import KeyPath, did_you_mean

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

#: What every template can name: `inputs.<name>` and `steps.<id>.output`.
TEMPLATE_NAMES = frozenset({"inputs", "steps"})
#: Functions of Jinja2's that no plan needs.
_NOT_NEEDED = ("lipsum", "cycler", "joiner")


@dataclass(frozen=True, slots=True)
class Template:
    """A template: its path, its text, the step it belongs to, and what else it can name."""

    path: KeyPath
    text: str
    step: str | None
    names: frozenset[str] = TEMPLATE_NAMES


def template_environment() -> SandboxedEnvironment:
    """The Jinja2 sandbox that plan templates are checked and rendered in.

    A name that is not there is an error, never an empty text.
    """
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    for name in _NOT_NEEDED:
        environment.globals.pop(name, None)
    return environment


def is_template(text: str) -> bool:
    """Whether a text has to be rendered."""
    return "{{" in text or "{%" in text


def templates(plan: Plan) -> Iterator[Template]:
    """Every template of a plan; not those of the plans in it."""
    for index, step in enumerate(plan.steps):
        yield from _of_step(step, ("steps", index))
    for path, text in _texts(plan.output, ("output",)):
        yield Template(path, text, None)
    if plan.fallback is not None:
        for path, text in _texts(plan.fallback.input, ("fallback", "input")):
            yield Template(path, text, None, TEMPLATE_NAMES | {"error"})
    if plan.concurrency is not None:
        yield Template(("concurrency", "key"), plan.concurrency.key, None, frozenset({"inputs"}))


def _of_step(step: Step, here: KeyPath) -> Iterator[Template]:
    """What is rendered once for the step, then what is rendered in each round or for each value."""
    once: dict[tuple[str, ...], Any] = {
        ("when",): step.when,
        ("map", "over"): step.map.over if step.map else None,
    }
    inside: dict[tuple[str, ...], Any] = {
        ("agent",): step.agent,
        ("capability",): step.capability,
        ("prompt",): step.prompt,
        ("input",): step.input,
        ("wait",): step.wait,
        ("value",): step.value,
        ("human", "ask"): step.human.ask if step.human else None,
        ("approve", "ask"): step.approve.ask if step.approve else None,
        ("switch", "on"): step.switch.on if step.switch else None,
        ("concurrency", "key"): step.concurrency.key if step.concurrency else None,
        ("discover", "capability"): step.discover.capability if step.discover else None,
    }
    if step.team is not None:
        inside[("team", "name")] = step.team.name
        inside[("team", "start")] = step.team.start
        inside[("team", "override")] = step.team.override
    names = set(TEMPLATE_NAMES)
    if step.map is not None:
        names |= {step.map.name, "index"}
    if step.loop is not None:
        names |= {"round", "last"}
    for key, value in once.items():
        for path, text in _texts(value, (*here, *key)):
            yield Template(path, text, step.id)
    for key, value in inside.items():
        for path, text in _texts(value, (*here, *key)):
            yield Template(path, text, step.id, frozenset(names))
    for number, way in enumerate(step.branch or []):
        if way.when is not None:
            yield Template((*here, "branch", number, "when"), way.when, step.id)
    if step.loop is not None:
        for name, ends in (("until", step.loop.until), ("while", step.loop.while_)):
            if ends is not None:
                rounds = frozenset(names | {"output"})
                yield Template((*here, "loop", name), ends, step.id, rounds)
    if step.fallback is not None:
        for path, text in _texts(step.fallback.input, (*here, "fallback", "input")):
            yield Template(path, text, step.id, frozenset(names | {"error"}))


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, (*path, number))


def unusable(environment: SandboxedEnvironment, tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """Line and text of each filter, test or statement that a plan's templates do not have.

    Found in the parsed tree: compiling the template would evaluate its constant parts.
    """
    from jinja2 import nodes

    for found in tree.find_all(nodes.Filter):
        if found.name not in environment.filters:
            near = did_you_mean(found.name, environment.filters)
            yield found.lineno, f"no filter {found.name}{near}"
    for test in tree.find_all(nodes.Test):
        if test.name not in environment.tests:
            yield test.lineno, f"no test {test.name}{did_you_mean(test.name, environment.tests)}"
    for name, line in _internals(tree):
        yield line, f"{name} is Python's own; a template reaches values only"
    others = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)
    for statement in tree.find_all(others):
        yield statement.lineno, "a plan's template stands alone; it cannot load another"


def unknown_names(
    environment: SandboxedEnvironment, tree: nodes.Template, names: frozenset[str]
) -> dict[str, int]:
    """Names that nothing gives, each with the line where it first stands.

    A name the template itself sets anywhere counts as given.
    """
    from jinja2 import nodes

    given = {*names, *environment.globals}
    if tree.find(nodes.For):
        given.add("loop")
    if tree.find(nodes.Macro) or tree.find(nodes.CallBlock):
        given |= {"caller", "varargs", "kwargs"}
    given |= {macro.name for macro in tree.find_all(nodes.Macro)}
    found = list(tree.find_all(nodes.Name))
    given |= {name.name for name in found if name.ctx != "load"}
    unknown: dict[str, int] = {}
    for name in found:
        if name.name not in given:
            unknown.setdefault(name.name, name.lineno)
    return unknown


def lookups(tree: nodes.Template) -> Iterator[tuple[str, str, int]]:
    """Every `inputs.x` and `steps.x`, also as `steps['x']`: table, name, line of the text."""
    from jinja2 import nodes

    for dotted in tree.find_all(nodes.Getattr):
        if isinstance(dotted.node, nodes.Name) and dotted.node.name in TEMPLATE_NAMES:
            yield dotted.node.name, dotted.attr, dotted.lineno
    for item in tree.find_all(nodes.Getitem):
        if (
            isinstance(item.node, nodes.Name)
            and item.node.name in TEMPLATE_NAMES
            and isinstance(item.arg, nodes.Const)
            and isinstance(item.arg.value, str)
        ):
            yield item.node.name, item.arg.value, item.lineno


def _internals(tree: nodes.Template) -> Iterator[tuple[str, int]]:
    """What leads out of the values: names that Python keeps for itself, and their back doors."""
    from jinja2 import nodes

    for dotted in tree.find_all(nodes.Getattr):
        if dotted.attr.startswith("__"):
            yield dotted.attr, dotted.lineno
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.arg, nodes.Const) and str(item.arg.value).startswith("__"):
            yield str(item.arg.value), item.lineno
    for name in tree.find_all(nodes.Name):
        if name.name.startswith("__"):
            yield name.name, name.lineno
    for found in tree.find_all(nodes.Filter):
        if found.name == "attr":
            yield "attr", found.lineno
