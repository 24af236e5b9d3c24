"""The verbs that show plans: which there are, what is wrong with one, how their runs went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing, table
from sparkplug.cli.sparks import sparkline
from sparkplug.schema.errors import InvalidError, NoMeshError, SparkplugError
from sparkplug.schema.plain import plain

if TYPE_CHECKING:
    from sparkplug.schema.plan import Plan
    from sparkplug.schema.run_stats import PlanStats, Spread


@dataclass(frozen=True, slots=True)
class Known:
    """A plan that has a name, and its file; `plan` is None when the file does not hold."""

    name: str
    file: Path
    plan: Plan | None
    problem: str = ""


async def list_plans(cli: Cli) -> int:
    """The plans that can be run by name."""
    from sparkplug.client import plan_files

    async def fetch() -> Iterable[Known]:
        found = []
        for name, file in sorted(plan_files.plan_files().items()):
            try:
                found.append(Known(name, file, plan_files.find_plan(name)))
            except SparkplugError as error:
                found.append(Known(name, file, None, str(error)))
        return found

    return await show(cli, fetch, PLANS)


async def validate(cli: Cli) -> int:
    """Check plan files, also against the agents there are, when a mesh is there to tell."""
    from sparkplug.client import agents, plan_files

    known: set[str] | None = None
    can: set[str] = set()
    try:
        async with cli.connect() as client:
            there = await agents.list_agents(client)
            known = {agent.name for agent in there}
            can = {capability for agent in there for capability in agent.capabilities}
    except NoMeshError:
        if cli.args.agents:
            raise
    rows, wrong = [], []
    for name in cli.args.plans:
        try:
            plan = plan_files.find_plan(name, known if cli.args.agents else None)
        except SparkplugError as error:
            wrong.append(error)
            continue
        missing = sorted(_agents_of(plan) - known) if known is not None else []
        lacking = sorted(_capabilities_of(plan) - can) if known is not None else []
        rows.append(
            {
                "plan": plan.name,
                "file": name,
                "steps": len(plan.steps),
                "plans": sorted(plan.plans),
                "missing_agents": missing,
                "missing_capabilities": lacking,
            }
        )
    if cli.out.structured and not wrong:
        cli.out.data(rows)
    for row in () if cli.out.structured else rows:
        cli.out.text(f"{row['file']}: plan {row['plan']} holds, {_counted(row['steps'])}")
        if row["missing_agents"]:
            names = ", ".join(str(one) for one in row["missing_agents"])
            cli.out.talk(f"  no such agents here now: {names}")
        if row["missing_capabilities"]:
            names = ", ".join(str(one) for one in row["missing_capabilities"])
            cli.out.talk(f"  no agent here can now: {names}")
    if len(wrong) > 1:
        raise InvalidError(
            "\n".join([wrong[0].message, *map(str, wrong[1:])]), where=wrong[0].where
        )
    if wrong:
        raise wrong[0]
    return 0


async def stats(cli: Cli) -> int:
    """How runs went: of every plan, or of one and its steps."""
    from sparkplug.client import runs as room

    async with cli.connect() as client:
        found = await room.stats(client, cli.args.plan or "", cli.args.runs)
    if not cli.args.plan or cli.out.structured:

        async def fetch() -> Iterable[PlanStats]:
            return found

        return await show(cli, fetch, STATS)
    one = found[0]
    for title, value in (
        ("plan", one.plan),
        ("runs", f"{one.runs}: {one.done} done, {one.failed} failed, {one.cancelled} cancelled"),
        ("success", _percent(one.success_share)),
        ("took", _spread(one.took)),
        ("retries", f"{_percent(one.retry_share)} of attempts"),
        ("working", figures.span(one.working_seconds)),
        ("waiting", figures.span(one.waiting_seconds)),
        ("tokens", str(one.tokens) if one.tokens else ""),
        ("trend", f"{sparkline(one.trend[-40:])} {_changed(one.trend_change)}".strip()),
    ):
        if value:
            cli.out.text(f"{title:<8} {value}")
    titles = ["step", "runs", "success", "retries", "p50", "p95", "working", "waiting", "critical"]
    rows = [
        [
            step.id,
            str(step.runs),
            _percent(step.success_share),
            _percent(step.retry_share),
            _seconds(step.took.p50),
            _seconds(step.took.p95),
            figures.span(step.working_seconds),
            figures.span(step.waiting_seconds),
            _percent(step.critical_share),
        ]
        for step in one.steps
    ]
    cli.out.text("")
    cli.out.piece(table(titles, rows, [False, *[True] * 8]))
    return 0


def _agents_of(plan: Plan) -> set[str]:
    """The agents that a plan and those it runs name outright."""
    steps = [step for one in (plan, *plan.plans.values()) for step in one.steps]
    started = {str(spec.get("name")) for s in steps for spec in (s.team.start if s.team else [])}
    named = {step.agent for step in steps if step.agent and "{" not in step.agent}
    return {name for name in named if name is not None} - started


def _capabilities_of(plan: Plan) -> set[str]:
    """The capabilities that a plan and those it runs ask for outright."""
    steps = [step for one in (plan, *plan.plans.values()) for step in one.steps]
    asked = {step.capability for step in steps if step.capability}
    return {name for name in asked if "{" not in name}


def _counted(steps: object) -> str:
    return f"{steps} step" if steps == 1 else f"{steps} steps"


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{share * 100:.0f}%"


def _seconds(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f}s"


def _spread(spread: Spread) -> str:
    if not spread.count:
        return "—"
    return f"p50 {_seconds(spread.p50)}, p95 {_seconds(spread.p95)}"


def _changed(change: float | None) -> str:
    if change is None:
        return ""
    return f"{'+' if change >= 0 else '−'}{abs(change) * 100:.0f}% against the runs before"


PLANS: Listing[Known] = Listing(
    columns=(
        Column("name", lambda p: p.name),
        Column("strategy", lambda p: p.plan.strategy if p.plan else "invalid"),
        Column("steps", lambda p: len(p.plan.steps) if p.plan else None, right=True),
        Column("inputs", lambda p: ", ".join(p.plan.inputs) if p.plan else None),
        Column("description", lambda p: p.plan.description if p.plan else p.problem),
        Column("file", lambda p: str(p.file), wide=True),
    ),
    name=lambda p: p.name,
    data=lambda p: _plan_data(p),
    empty="no plan has a name here",
)


def _plan_data(known: Known) -> dict[str, Any]:
    plan = known.plan
    return {
        "name": known.name,
        "file": str(known.file),
        "valid": plan is not None,
        "problem": known.problem or None,
        "strategy": plan.strategy if plan else None,
        "steps": [step.id for step in plan.steps] if plan else [],
        "inputs": sorted(plan.inputs) if plan else [],
        "description": plan.description if plan else "",
    }


STATS: Listing[PlanStats] = Listing(
    columns=(
        Column("plan", lambda s: s.plan),
        Column("runs", lambda s: s.runs, right=True),
        Column("success", lambda s: _percent(s.success_share), right=True),
        Column("retries", lambda s: _percent(s.retry_share), right=True),
        Column("p50", lambda s: _seconds(s.took.p50), right=True),
        Column("p95", lambda s: _seconds(s.took.p95), right=True),
        Column("working", lambda s: figures.span(s.working_seconds), right=True),
        Column("waiting", lambda s: figures.span(s.waiting_seconds), right=True),
        Column("trend", lambda s: sparkline(s.trend[-20:])),
    ),
    name=lambda s: s.plan,
    data=lambda s: plain(s),
    empty="no runs are kept; `sparkplug run PLAN` starts one",
)
