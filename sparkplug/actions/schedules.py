"""Actions on schedules: add, remove, pause, resume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.schedule import Schedule

_NAME = Argument("name", "text", "name of the schedule", required=True)


async def _made(
    client: Client,
    name: str,
    plan: str,
    inputs: Sequence[str],
    given: dict[str, Any],
) -> Schedule:
    """The schedule, with its plan checked against the agents there are."""
    from sparkplug.client import agents, plan_files
    from sparkplug.schema.problems import Problem, invalid, path_text, validate
    from sparkplug.schema.schedule import Schedule

    known = {agent.name for agent in await agents.list_agents(client)}
    found = plan_files.find_plan(plan, known)
    values = plan_files.check_inputs(found, plan_files.parse_inputs(inputs))
    made = validate(Schedule, {"name": name, "plan": found, "inputs": values, **given})
    if isinstance(made, list):
        raise invalid([Problem(path_text(one.path) or name, one.message) for one in made])
    return made


async def _add(
    client: Client,
    name: str,
    plan: str,
    *,
    cron: str = "",
    every: float | None = None,
    timezone: str = "UTC",
    missed: str = "once",
    inputs: Sequence[str] = (),
    priority: int | None = None,
    one_at_a_time: bool = False,
    replace: bool = False,
) -> ActionResult:
    from sparkplug.client import schedules

    given = {
        "cron": cron,
        "every": every,
        "timezone": timezone,
        "missed": missed,
        "priority": priority,
        "overlap": not one_at_a_time,
    }
    schedule = await _made(client, name, plan, inputs, given)
    await schedules.put(client, schedule, replace=replace)
    coming = next(schedule.times(schedule.since))
    return ActionResult(
        f"schedule {name}: {schedule.plan.name} is run next at {coming.isoformat()}",
        {"schedule": name, "plan": schedule.plan.name, "next": coming.isoformat()},
    )


async def _check_add(client: Client, name: str, plan: str, **given: Any) -> None:
    await _made(
        client,
        name,
        plan,
        given.get("inputs") or (),
        {
            "cron": given.get("cron") or "",
            "every": given.get("every"),
            "timezone": given.get("timezone") or "UTC",
            "missed": given.get("missed") or "once",
        },
    )


async def _remove(client: Client, name: str) -> ActionResult:
    from sparkplug.client import schedules

    await schedules.change(client, name, "remove")
    return ActionResult(f"schedule {name} removed", {"schedule": name})


async def _pause(client: Client, name: str) -> ActionResult:
    from sparkplug.client import schedules

    await schedules.change(client, name, "pause")
    return ActionResult(f"schedule {name} paused", {"schedule": name})


async def _resume(client: Client, name: str) -> ActionResult:
    from sparkplug.client import schedules

    await schedules.change(client, name, "resume")
    return ActionResult(f"schedule {name} goes on", {"schedule": name})


SCHEDULE_ACTIONS: tuple[Action, ...] = (
    Action(
        id="schedules.add",
        title="Add schedule",
        help="run a plan again and again, by the clock or at an interval",
        verb=("schedules", "add"),
        arguments=(
            _NAME,
            Argument("plan", "plan", "plan file, or the name of a shipped plan", required=True),
            Argument("cron", "text", "when, like '0 3 * * *'", default="", flag="--cron"),
            Argument("every", "seconds", "an interval instead, like 10m", flag="--every"),
            Argument(
                "timezone",
                "text",
                "of --cron, like Europe/Berlin (UTC)",
                default="UTC",
                flag="--timezone",
            ),
            Argument(
                "missed",
                "text",
                "of times that passed while no node was up: none, one, each (once)",
                default="once",
                flag="--missed",
                choices=("skip", "once", "all"),
            ),
            Argument(
                "inputs", "pairs", "input of the plan, key=value", flag="--input", repeated=True
            ),
            Argument("priority", "integer", "of its runs, 0 to 9", flag="--priority"),
            Argument(
                "one_at_a_time",
                "switch",
                "none while the last is still going",
                default=False,
                flag="--one-at-a-time",
            ),
            Argument(
                "replace",
                "switch",
                "in the place of one of that name",
                default=False,
                flag="--replace",
            ),
        ),
        check=_check_add,
        run=_add,
        preview=lambda name, plan, **_: f"would run {plan} by the schedule {name}",
    ),
    Action(
        id="schedules.remove",
        title="Remove schedule",
        help="run a plan no more by the clock; what goes on goes on",
        verb=("schedules", "remove"),
        arguments=(_NAME,),
        danger=True,
        run=_remove,
        preview=lambda name, **_: f"would remove the schedule {name}",
    ),
    Action(
        id="schedules.pause",
        title="Pause schedule",
        help="begin no run of a schedule until it is resumed",
        verb=("schedules", "pause"),
        arguments=(_NAME,),
        run=_pause,
        preview=lambda name, **_: f"would pause the schedule {name}",
    ),
    Action(
        id="schedules.resume",
        title="Resume schedule",
        help="have a paused schedule go on",
        verb=("schedules", "resume"),
        arguments=(_NAME,),
        run=_resume,
        preview=lambda name, **_: f"would have the schedule {name} go on",
    ),
)
