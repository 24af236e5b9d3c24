"""A plan made in code: the same model as a plan file, checked the same way.

plan = PlanBuilder("host-brief", timeout="5m")
host = plan.input("host", required=True)
survey = plan.step("survey", agent="sentinel", action="survey", input={"host": host})
plan.step("write", agent="scribe", action="write", after=[survey],
          input={"survey": survey.output}, retry={"max": 2})
made = plan.build()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparkplug.schema.plan import Plan
from sparkplug.schema.plan_check import check_plan
from sparkplug.schema.problems import Problem, invalid, path_text, validate


class StepRef(str):
    """A step that was added: its id, and the templates that read it."""

    __slots__ = ()

    @property
    def output(self) -> str:
        """The template that gives its output."""
        return f"{{{{ steps['{self}'].output }}}}"

    def get(self, path: str) -> str:
        """The template that gives a part of its output: `findings[0].text`."""
        return f"{{{{ steps['{self}'].output.{path} }}}}"

    @property
    def state(self) -> str:
        """The template that gives its state."""
        return f"{{{{ steps['{self}'].state }}}}"


class PlanBuilder:
    """Collects the parts of a plan; keys are those of a plan file."""

    def __init__(self, name: str, **more: Any) -> None:
        self._data: dict[str, Any] = {"name": name, "steps": [], "inputs": {}, **more}

    def input(self, name: str, **more: Any) -> str:
        """Declare an input; the template that gives it."""
        self._data["inputs"][name] = more
        return f"{{{{ inputs.{name} }}}}"

    def step(self, id: str, *, after: Sequence[str] = (), **more: Any) -> StepRef:  # noqa: A002
        """Add a step that waits for those in `after`."""
        if after:
            more["depends_on"] = [str(name) for name in after]
        self._data["steps"].append({"id": id, **more})
        return StepRef(id)

    def plan(self, inner: Plan) -> str:
        """Bring a plan for steps to run; its name."""
        self._data.setdefault("plans", {})[inner.name] = inner.model_dump(exclude_defaults=True)
        return inner.name

    def output(self, value: Any) -> None:
        """What the run gives: templates."""
        self._data["output"] = value

    def build(self, agents: set[str] | None = None) -> Plan:
        """The plan, checked; `agents` are the names that exist, None: not known here.

        Raises InvalidError that lists every problem.
        """
        made = validate(Plan, self._data)
        if isinstance(made, list):
            raise invalid([Problem(path_text(one.path) or "plan", one.message) for one in made])
        problems = check_plan(made, agents)
        if problems:
            raise invalid(problems)
        return made
