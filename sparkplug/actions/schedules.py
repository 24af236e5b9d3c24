"""Actions on schedules: add, remove, pause, resume, run now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sparkplug.actions.action import Action, ActionResult, Argument, Subject

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.schedule import Schedule

_NEW = Argument("name", "text", "name of the schedule", required=True)
_NAME = Argument("name", "schedule", "name of the schedule", required=True)


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
    values = plan_files.check_inputs(found, plan_files.parse_inputs(inputs, found))
    made = validate(Schedule, {"name": name, "plan": found, "inputs": values, **given})
    if isinstance(made, list):
        raise invalid(
            [
                Problem(at or name, one.message.removeprefix(f"{at}: "))
                for one in made
                for at in (path_text(one.path),)
            ]
        )
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
    at = coming.isoformat(timespec="seconds")
    return ActionResult(
        f"schedule {name}: {schedule.plan.name} is run next at {at}",
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


def _change(
    what: Literal["remove", "pause", "resume"], told: str
) -> Callable[..., Awaitable[ActionResult]]:
    """What does one of the changes there are, and says so."""

    async def change(client: Client, name: str) -> ActionResult:
        from sparkplug.client import schedules

        await schedules.change(client, name, what)
        return ActionResult(f"schedule {name} {told}", {"schedule": name})

    return change


async def _check_there(client: Client, name: str) -> None:
    from sparkplug.client import schedules
    from sparkplug.schema.errors import NotFoundError
    from sparkplug.schema.problems import did_you_mean

    names = [one.schedule.name for one in await schedules.list_schedules(client)]
    if name not in names:
        raise NotFoundError(
            f"no schedule {name}{did_you_mean(name, names)}",
            hint="`sparkplug schedules list` shows them",
        )


async def _run_now(client: Client, name: str) -> ActionResult:
    from sparkplug.client import schedules

    run = await schedules.run_now(client, name)
    return ActionResult(
        f"run {run} of the schedule {name} accepted", {"schedule": name, "run": run}
    )


def _applies(paused: bool | None = None) -> Callable[[Subject | None], str | None]:
    """For what is done to a schedule; with `paused` to one that is, or is not."""

    def applies(subject: Subject | None) -> str | None:
        if subject is None or subject.kind != "schedule":
            return "select a schedule"
        if paused is None or subject.value is None or subject.value.schedule.paused is paused:
            return None
        return "it is not paused" if paused else "it is paused already"

    return applies


_CHANGES: tuple[
    tuple[Literal["remove", "pause", "resume"], str | None, bool | None, str, str, str], ...
] = (
    (
        *("remove", "x", None, "removed", "remove the schedule {name}"),
        "run a plan no more by the clock; what goes on goes on",
    ),
    (
        *("pause", None, False, "paused", "pause the schedule {name}"),
        "begin no run of a schedule until it is resumed",
    ),
    (
        *("resume", None, True, "goes on", "have the schedule {name} go on"),
        "have a paused schedule go on",
    ),
)

SCHEDULE_ACTIONS: tuple[Action, ...] = (
    Action(
        id="schedules.add",
        title="Add schedule",
        help="run a plan again and again, by the clock or at an interval",
        verb=("schedules", "add"),
        arguments=(
            _NEW,
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
                "times that passed while no node was up: skip, once for all, or all (once)",
                default="once",
                flag="--missed",
                choices=("skip", "once", "all"),
            ),
            Argument(
                "inputs",
                "pairs",
                "input of the plan, key=value",
                flag="--input",
                repeated=True,
                stdin=True,
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
        id="schedules.run",
        title="Run schedule now",
        help="begin a run of a schedule now; its times stay as they are",
        verb=("schedules", "run"),
        key="R",
        target="schedule",
        arguments=(_NAME,),
        many=True,
        applies=_applies(),
        check=_check_there,
        run=_run_now,
        preview=lambda name, **_: f"would begin a run of the schedule {name}",
    ),
    *(
        Action(
            id=f"schedules.{what}",
            title=f"{what.capitalize()} schedule",
            help=help_,
            verb=("schedules", what),
            key=key,
            target="schedule",
            arguments=(_NAME,),
            many=True,
            danger=what == "remove",
            applies=_applies(paused),
            check=_check_there,
            run=_change(what, told),
            preview=lambda name, would=would, **_: f"would {would.format(name=name)}",
        )
        for what, key, paused, told, would, help_ in _CHANGES
    ),
)
