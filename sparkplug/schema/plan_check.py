"""What can be wrong with a plan before anything runs: its graph, its agents, its templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sparkplug.schema.documents import examine
from sparkplug.schema.errors import NotFoundError
from sparkplug.schema.plan import Plan
from sparkplug.schema.problems import KeyPath, Problem, did_you_mean, invalid, path_text
from sparkplug.schema.textfile import read_text

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

#: What a template can name: `inputs.<name>` and `steps.<id>.output`.
TEMPLATE_NAMES = frozenset({"inputs", "steps"})


class Locate(Protocol):
    """Says file:line:column of a value; `line` (from 1) asks for a line of its text."""

    def __call__(self, path: KeyPath, *, line: int = 0) -> str: ...


def template_environment() -> SandboxedEnvironment:
    """The Jinja2 sandbox that plan templates are checked and rendered in.

    A name that is not there is an error, never an empty text.
    """
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def load_plan(path: Path, agents: set[str] | None = None) -> Plan:
    """The plan in a YAML file, checked; `agents` are the names that exist, None = not known here.

    Raises InvalidError that lists every problem, NotFoundError, or RefusedError when the file
    may not be read.
    """
    text = read_text(path)
    if text is None:
        raise NotFoundError("no such file", where=str(path))
    return parse_plan(text, agents, str(path))


def parse_plan(text: str, agents: set[str] | None = None, name: str = "<stdin>") -> Plan:
    """The plan in the YAML `text`, checked. Raises InvalidError that lists every problem."""
    plan, source = examine(text, Plan, name)
    if plan is None:
        raise invalid(source.problems)
    problems = check_plan(plan, agents, source.place)
    if problems:
        raise invalid(problems)
    return plan


def check_plan(plan: Plan, agents: set[str] | None, locate: Locate | None = None) -> list[Problem]:
    """Everything wrong with a plan that its file's form does not show.

    Step ids given twice, dependencies on unknown steps, cycles, agents not in `agents`,
    templates that do not parse, name an unknown input or step, or read a step they do not wait
    for. `locate` gives places; without it they are paths like `steps[0].when`.
    """
    checker = _Checker(plan, agents, locate or (lambda path, *, line=0: path_text(path)))
    checker.check_steps()
    checker.check_cycles()
    checker.check_templates()
    return sorted(checker.problems, key=_in_file)


def _in_file(problem: Problem) -> list[int | str]:
    """Orders places by their numbers, so that line 9 comes before line 12."""
    parts = re.split(r"(\d+)", problem.place)
    return [int(part) if part.isdigit() else part for part in parts]


class _Checker:
    """Collects the problems of one plan."""

    def __init__(self, plan: Plan, agents: set[str] | None, locate: Locate) -> None:
        self.problems: list[Problem] = []
        self._plan = plan
        self._agents = agents
        self._locate = locate
        self._ids = {step.id for step in plan.steps}

    def _add(self, path: KeyPath, message: str, line: int = 0) -> None:
        self.problems.append(Problem(self._locate(path, line=line), message))

    def check_steps(self) -> None:
        """Ids, dependencies by name, agents."""
        seen: set[str] = set()
        for index, step in enumerate(self._plan.steps):
            here: KeyPath = ("steps", index)
            if step.id in seen:
                self._add((*here, "id"), f"a step {step.id} stands here already")
            seen.add(step.id)
            if self._plan.strategy == "parallel" and step.depends_on:
                text = "strategy parallel starts all steps at once; depends_on needs strategy graph"
                self._add((*here, "depends_on"), text)
            for number, name in enumerate(step.depends_on):
                if name not in self._ids:
                    text = f"no step {name}{did_you_mean(name, self._ids)}"
                    self._add((*here, "depends_on", number), text)
            if self._agents is not None and step.agent and step.agent not in self._agents:
                near = did_you_mean(step.agent, self._agents)
                self._add((*here, "agent"), f"no agent {step.agent}{near}")

    def check_cycles(self) -> None:
        """A cycle is named once, beginning with its step that stands first in the file."""
        if len(self._ids) < len(self._plan.steps):
            return  # an id given twice is told already, and its two steps would look like one
        cycle = find_cycle(self._plan.dependencies())
        if cycle:
            order = [step.id for step in self._plan.steps]
            first = order.index(min(cycle, key=order.index))
            start = cycle.index(order[first])
            names = [*cycle[start:], *cycle[:start], order[first]]
            text = f"the steps wait for each other: {' -> '.join(names)}"
            self._add(("steps", first, "depends_on"), text)

    def check_templates(self) -> None:
        """Every template of the plan: its syntax, and what it names."""
        environment = template_environment()
        before = ancestors(self._plan.dependencies())
        for path, text, step in _templates(self._plan):
            allowed = before[step] if step else self._ids
            self._check_template(environment, path, text, step, allowed)

    def _check_template(
        self,
        environment: SandboxedEnvironment,
        path: KeyPath,
        text: str,
        step: str | None,
        allowed: set[str],
    ) -> None:
        from jinja2 import TemplateSyntaxError

        try:
            tree = environment.parse(text)
            self._check_tree(environment, path, tree, step, allowed)
        except TemplateSyntaxError as error:
            self._add(path, f"template: {error.message}", error.lineno)
        except RecursionError:
            self._add(path, "template: nested too deeply")

    def _check_tree(
        self,
        environment: SandboxedEnvironment,
        path: KeyPath,
        tree: nodes.Template,
        step: str | None,
        allowed: set[str],
    ) -> None:
        for line, message in _unusable(environment, tree):
            self._add(path, f"template: {message}", line)
        for name, line in _unknown_names(environment, tree).items():
            near = did_you_mean(name, TEMPLATE_NAMES)
            advice = near or "; there are inputs and steps"
            self._add(path, f"unknown variable {name}{advice}", line)
        told: set[tuple[str, str]] = set()
        for table, name, line in _lookups(tree):
            if (table, name) in told:
                continue
            told.add((table, name))
            if table == "inputs" and name not in self._plan.inputs:
                near = did_you_mean(name, self._plan.inputs)
                advice = near or "; declare it under inputs:"
                self._add(path, f"no input {name}{advice}", line)
            elif table == "steps" and name not in self._ids:
                self._add(path, f"no step {name}{self._near_step(name)}", line)
            elif table == "steps" and name not in allowed and allowed <= self._ids:
                # what waits for an unknown step is told there, and may mean this one
                what = "itself" if name == step else f"step {name} without depending on it"
                self._add(path, f"step {step} reads {what}", line)

    def _near_step(self, name: str) -> str:
        """Advice; a hyphen reads as minus in a template, so such an id needs brackets."""
        for step in sorted(self._ids):
            if step.startswith(f"{name}-"):
                return f", write steps['{step}']"
        return did_you_mean(name, self._ids)


def ancestors(graph: dict[str, list[str]]) -> dict[str, set[str]]:
    """For each step, all that it waits for, directly or through others; unknown ids included."""
    found: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        todo = list(graph[start])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo.extend(graph.get(name, []))
        found[start] = seen - {start}
    return found


def find_cycle(graph: dict[str, list[str]]) -> list[str]:
    """The steps of one cycle, each waiting for the next; empty when there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # graphlib lists each before the one that waits for it, with the first again at the end.
        cycle: list[str] = error.args[1]
        return cycle[:0:-1]
    return []


def _templates(plan: Plan) -> Iterator[tuple[KeyPath, str, str | None]]:
    """Every template: its path, its text, and the step it belongs to."""
    for index, step in enumerate(plan.steps):
        here: KeyPath = ("steps", index)
        for name, text in (("prompt", step.prompt), ("when", step.when)):
            if text is not None:
                yield (*here, name), text, step.id
        for path, text in _texts(step.input, (*here, "input")):
            yield path, text, step.id
    if plan.output is not None:
        yield ("output",), plan.output, None


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, (*path, number))


def _unusable(environment: SandboxedEnvironment, tree: nodes.Template) -> Iterator[tuple[int, str]]:
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
    others = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)
    for statement in tree.find_all(others):
        yield statement.lineno, "a plan's template stands alone; it cannot load another"


def _unknown_names(environment: SandboxedEnvironment, tree: nodes.Template) -> dict[str, int]:
    """Names that nothing gives, each with the line where it first stands.

    A name the template itself sets anywhere counts as given.
    """
    from jinja2 import nodes

    given = {*TEMPLATE_NAMES, *environment.globals}
    if tree.find(nodes.For):
        given.add("loop")
    if tree.find(nodes.Macro) or tree.find(nodes.CallBlock):
        given |= {"caller", "varargs", "kwargs"}
    given |= {macro.name for macro in tree.find_all(nodes.Macro)}
    names = list(tree.find_all(nodes.Name))
    given |= {name.name for name in names if name.ctx != "load"}
    unknown: dict[str, int] = {}
    for name in names:
        if name.name not in given:
            unknown.setdefault(name.name, name.lineno)
    return unknown


def _lookups(tree: nodes.Template) -> Iterator[tuple[str, str, int]]:
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
