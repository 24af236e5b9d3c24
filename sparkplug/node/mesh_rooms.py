"""What every node stands ready to do for the mesh: of each, the holder of its lease does it."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable
from functools import partial

from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.service import Services
from sparkplug.bus.tap import open_tap
from sparkplug.config import Settings
from sparkplug.decisions.keeper import Decisions
from sparkplug.node.checkpoints import Checkpoints
from sparkplug.node.directory import Directory
from sparkplug.node.observer.observer import Observer
from sparkplug.plans.planner import Planner
from sparkplug.questions.board import Board
from sparkplug.questions.desk import Desk
from sparkplug.questions.keeper import Keeper
from sparkplug.tasks.keeping import Limits
from sparkplug.tasks.service import TaskService

#: Within which the server has to have accepted a connection of the node, in seconds.
CONNECT_S = 10.0

#: Something that runs for as long as the daemon does, and what it is called.
Loop = tuple[str, Callable[[], Awaitable[None]]]


def owner_name() -> str:
    """The Unix user the node runs as: the owner of its agents."""
    return getpass.getuser()


async def mesh_rooms(
    bus: Bus,
    settings: Settings,
    holder: str,
    events: EventLog,
    directory: Directory,
    services: Services,
) -> list[Loop]:
    """Serve what any node may answer; the loops of the rest."""
    name = settings.node.name
    work = TaskService(
        bus,
        name,
        events,
        observed=directory.replica,
        known=lambda: directory.complete,
        limits=Limits(settings.tasks.queue_max, settings.tasks.keep, settings.tasks.keep_max),
    )
    observer = Observer(
        bus,
        name,
        holder,
        owner_name(),
        directory,
        events,
        settings.observe,
        partial(open_tap, bus, f"observer {name}", CONNECT_S),
    )
    decisions = Decisions(
        bus,
        name,
        holder,
        events,
        named=directory.named,
        user_of=directory.user_of,
        find=directory.target,
    )
    planner = Planner(
        bus,
        name,
        known_agents=directory.names,
        find=directory.resolve,
        most=settings.plans.max_runs,
        compact=settings.plans.compact,
        keep=settings.plans.keep,
    )
    board = Board(bus)
    await Checkpoints(bus).serve(services)
    await Desk(bus, board, events).serve(services)
    return [
        ("observer", observer.run),
        ("planner", planner.run),
        ("tasks", work.run),
        ("decisions", decisions.run),
        ("questions", board.run),
        ("answers", Keeper(bus, holder, board, events).run),
    ]
