"""What can be wrong with a plan before anything runs: its graph, its agents, its templates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sparkplug.schema.documents import examine
from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.plan import MOST_STEPS, Plan, Step
from sparkplug.schema.plan_graph import Before, find_cycle
from sparkplug.schema.plan_inputs import type_problem
from sparkplug.schema.plan_templates import (
    Template,
    is_template,
    lookups,
    template_environment,
    templates,
    unknown_names,
    unusable,
)
from sparkplug.schema.problems import KeyPath, Problem, did_you_mean, invalid, path_text
from sparkplug.schema.textfile import read_text

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

__all__ = ["check_plan", "load_plan", "parse_plan", "template_environment"]

_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"

#: Finds the plan of a name; None when there is none.
FindPlan = Callable[[str], Plan | None]


class Locate(Protocol):
    """Says file:line:column of a value; `line` (from 1) asks for a line of its text."""

    def __call__(self, path: KeyPath, *, line: int = 0) -> str: ...


def load_plan(path: Path, agents: set[str] | None = None, find: FindPlan | None = None) -> Plan:
    """The plan in a YAML file, checked; `agents` are the names that exist, None = not known here.

    A plan that a step runs is taken from the file of its name beside this one, or by `find`.
    Raises InvalidError that lists every problem, NotFoundError, or RefusedError when the file
    may not be read.
    """
    text = read_text(path)
    if text is None:
        raise NotFoundError("no such file", where=str(path))

    def beside(name: str) -> Plan | None:
        near = path.parent / f"{name}{path.suffix}"
        found = read_text(near) if near.is_file() else None
        if found is None:
            return find(name) if find is not None else None
        plan, source = examine(found, Plan, str(near))
        if plan is None:
            raise invalid(source.problems)
        return plan

    return parse_plan(text, agents, str(path), beside)


def parse_plan(
    text: str,
    agents: set[str] | None = None,
    name: str = "<stdin>",
    find: FindPlan | None = None,
) -> Plan:
    """The plan in the YAML `text`, checked, with the plans that it runs brought in by `find`.

    Raises InvalidError that lists every problem.
    """
    plan, source = examine(text, Plan, name)
    if plan is None:
        raise invalid(source.problems)
    if find is not None:
        bring_plans(plan, find)
    problems = check_plan(plan, agents, source.place)
    if problems:
        raise invalid(problems)
    return plan


def bring_plans(plan: Plan, find: FindPlan) -> None:
    """Take into `plan.plans` every plan that it runs, directly or through another, and that
    `find` knows. Raises InvalidError when they have too many steps in all."""
    todo = [*plan.called(), *(name for one in plan.plans.values() for name in one.called())]
    while todo:
        name = todo.pop()
        if name in plan.plans or name == plan.name:
            continue
        found = find(name)
        if found is None:
            continue
        for inner, one in found.plans.items():
            plan.plans.setdefault(inner, one)
        plan.plans[name] = found.model_copy(update={"plans": {}})
        todo.extend(found.called())
        todo.extend(n for one in found.plans.values() for n in one.called())
        if len(plan.steps) + sum(len(one.steps) for one in plan.plans.values()) > MOST_STEPS:
            raise InvalidError(f"{plan.name} and the plans it runs have over {MOST_STEPS} steps")


def check_plan(plan: Plan, agents: set[str] | None, locate: Locate | None = None) -> list[Problem]:
    """Everything wrong with a plan that its file's form does not show.

    Step ids given twice, dependencies on unknown steps, cycles, agents not in `agents`, plans
    that nobody brought or that run each other, templates that do not parse, reach for Python,
    name an unknown input or step, or read a step they do not wait for. `locate` gives places;
    without it they are paths like `steps[0].when`.
    """
    where = locate or (lambda path, *, line=0: path_text(path))
    problems = _check_one(plan, agents, where, plan.plans)
    for name, inner in plan.plans.items():

        def inside(path: KeyPath, *, line: int = 0, name: str = name) -> str:
            return where(("plans", name, *path), line=line)

        problems += _check_one(inner, agents, inside, plan.plans)
    calls = {name: inner.called() for name, inner in plan.plans.items()}
    calls[plan.name] = [*plan.called(), *calls.get(plan.name, [])]
    cycle = find_cycle(calls)
    if cycle:
        names = " -> ".join([*cycle, cycle[0]])
        problems.append(Problem(where(("steps",)), f"the plans run each other: {names}"))
    return sorted(problems, key=_in_file)


def _check_one(
    plan: Plan, agents: set[str] | None, locate: Locate, plans: dict[str, Plan]
) -> list[Problem]:
    checker = _Checker(plan, agents, locate, plans)
    checker.check_inputs()
    checker.check_steps()
    checker.check_cycles()
    checker.check_templates()
    return checker.problems


def _in_file(problem: Problem) -> list[int | str]:
    """Orders places by their numbers, so that line 9 comes before line 12."""
    parts = re.split(r"(\d+)", problem.place)
    return [int(part) if part.isdigit() else part for part in parts]


class _Checker:
    """Collects the problems of one plan."""

    def __init__(
        self, plan: Plan, agents: set[str] | None, locate: Locate, plans: dict[str, Plan]
    ) -> None:
        self.problems: list[Problem] = []
        self._plan = plan
        self._agents = agents
        self._locate = locate
        self._plans = plans
        self._ids = {step.id for step in plan.steps}
        self._before = Before(plan.dependencies())
        if agents is not None:
            self._agents = agents | set(_of_teams(plan))

    def _add(self, path: KeyPath, message: str, line: int = 0) -> None:
        self.problems.append(Problem(self._locate(path, line=line), message))

    def check_inputs(self) -> None:
        """Defaults are of the type that is wanted."""
        for name, one in self._plan.inputs.items():
            problem = type_problem(one, one.default) if one.default is not None else None
            if problem:
                self._add(("inputs", name, "default"), f"inputs.{name}.default: {problem}")

    def check_steps(self) -> None:
        """Ids, dependencies by name, agents, plans, ways on."""
        seen: set[str] = set()
        spares: dict[str, str] = {}
        for index, step in enumerate(self._plan.steps):
            here: KeyPath = ("steps", index)
            if step.id in seen:
                self._add((*here, "id"), f"a step {step.id} stands here already")
            seen.add(step.id)
            strategy = self._plan.strategy
            if strategy in ("parallel", "conditional") and step.depends_on:
                told = {
                    "parallel": "starts all steps at once",
                    "conditional": "runs the first step whose when is true",
                }
                text = f"strategy {strategy} {told[strategy]}; depends_on needs strategy graph"
                self._add((*here, "depends_on"), text)
            for number, name in enumerate(step.depends_on):
                self._known_step((*here, "depends_on", number), name)
            for path, name in _ways(step, here):
                self._known_step(path, name)
            self._check_agent((*here, "agent"), step.agent)
            self._check_call((*here, "plan"), step.plan, step.input, here)
            if step.fallback is not None:
                self._check_fallback(step, here, spares)
        if self._plan.fallback is not None:
            one = self._plan.fallback
            self._check_call(("fallback", "plan"), one.plan, one.input, ("fallback",))

    def _known_step(self, path: KeyPath, name: str) -> None:
        if name not in self._ids:
            self._add(path, f"no step {name}{did_you_mean(name, self._ids)}")

    def _check_agent(self, path: KeyPath, name: str | None) -> None:
        if name is None or is_template(name):
            return
        if not re.fullmatch(_NAME, name):
            text = f"{path_text(path)}: does not have the form {_NAME}"
            self._add(path, text)
        elif self._agents is not None and name not in self._agents:
            self._add(path, f"no agent {name}{did_you_mean(name, self._agents)}")

    def _check_call(
        self, path: KeyPath, name: str | None, given: dict[str, object] | None, here: KeyPath
    ) -> None:
        """A plan that is run: there is one, and its inputs are those it has."""
        if name is None:
            return
        called = self._plans.get(name)
        if called is None:
            near = did_you_mean(name, self._plans)
            self._add(path, f"no plan {name}{near or ' beside this one, or under plans:'}")
            return
        if given is None:
            return  # those it has in common
        for key in given:
            if key not in called.inputs:
                near = did_you_mean(key, called.inputs)
                self._add((*here, "input", key), f"plan {name} has no input {key}{near}")
        for key, one in called.inputs.items():
            if one.required and key not in given:
                self._add(path, f"plan {name} wants the input {key}")

    def _check_fallback(self, step: Step, here: KeyPath, spares: dict[str, str]) -> None:
        fallback = step.fallback
        assert fallback is not None
        path: KeyPath = (*here, "fallback")
        self._check_agent((*path, "agent"), fallback.agent)
        given = fallback.input if fallback.input is not None else None
        self._check_call((*path, "plan"), fallback.plan, given, path)
        spare = fallback.step
        if spare is None:
            return
        self._known_step((*path, "step"), spare)
        if spare == step.id:
            self._add((*path, "step"), f"step {step.id} cannot stand in for itself")
        elif spares.setdefault(spare, step.id) != step.id:
            text = f"step {spare} stands in for step {spares[spare]} already"
            self._add((*path, "step"), text)

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
        for template in templates(self._plan):
            if "{" in template.text:
                self._check_template(environment, template)

    def _check_template(self, environment: SandboxedEnvironment, template: Template) -> None:
        from jinja2 import TemplateSyntaxError

        try:
            tree = environment.parse(template.text)
            self._check_tree(environment, template, tree)
        except TemplateSyntaxError as error:
            self._add(template.path, f"template: {error.message}", error.lineno)
        except RecursionError:
            self._add(template.path, "template: nested too deeply")

    def _check_tree(
        self,
        environment: SandboxedEnvironment,
        template: Template,
        tree: nodes.Template,
    ) -> None:
        path, step = template.path, template.step
        for line, message in unusable(environment, tree):
            self._add(path, f"template: {message}", line)
        for name, line in unknown_names(environment, tree, template.names).items():
            near = did_you_mean(name, template.names)
            *others, last = sorted(template.names)
            advice = near or f"; there are {', '.join(others)} and {last}"
            self._add(path, f"unknown variable {name}{advice}", line)
        told: set[tuple[str, str]] = set()
        for table, name, line in lookups(tree):
            if (table, name) in told:
                continue
            told.add((table, name))
            if table == "inputs" and name not in self._plan.inputs:
                near = did_you_mean(name, self._plan.inputs)
                advice = near or "; declare it under inputs:"
                self._add(path, f"no input {name}{advice}", line)
            elif table == "steps" and name not in self._ids:
                self._add(path, f"no step {name}{self._near_step(name)}", line)
            elif table == "steps" and step and not self._before.waits(step, name):
                # what waits for an unknown step is told there, and may mean this one
                what = "itself" if name == step else f"step {name} without depending on it"
                self._add(path, f"step {step} reads {what}", line)

    def _near_step(self, name: str) -> str:
        """Advice; a hyphen reads as minus in a template, so such an id needs brackets."""
        for step in sorted(self._ids):
            if step.startswith(f"{name}-"):
                return f", write steps['{step}']"
        return did_you_mean(name, self._ids)


def _ways(step: Step, here: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """The steps that a step chooses among, each with its place."""
    for number, way in enumerate(step.branch or []):
        for place, name in enumerate(way.then):
            yield (*here, "branch", number, "then", place), name
    if step.switch is not None:
        for case, names in step.switch.cases.items():
            for place, name in enumerate(names):
                yield (*here, "switch", "cases", case, place), name
        for place, name in enumerate(step.switch.default):
            yield (*here, "switch", "default", place), name


def _of_teams(plan: Plan) -> Iterator[str]:
    """The names of the agents that the plan itself starts."""
    for step in plan.steps:
        for spec in step.team.start if step.team else []:
            yield str(spec.get("name", ""))
