"""Verbs about this host's node and the mesh as a whole."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import datetime

from sparkplug import __version__
from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import NoMeshError, RefusedError, SparkplugError
from sparkplug.schema.plain import plain

#: A clock that is off by less changes nothing one sees.
CLOCK_TOLD_S = 0.5

_MARKS = {"ok": "✔", "warn": "▲", "fail": "✖"}


async def up(cli: Cli) -> int:
    """Start the node and wait until it is ready."""
    from sparkplug.client import local

    cli.refuse_elsewhere("up")
    _pass_url(cli)
    info = await local.up(cli.paths)
    if cli.out.structured:
        cli.out.data(plain(info))
    else:
        cli.out.text(f"node {info.name} is {info.state} (pid {info.pid}) on {info.url}")
    return 0


async def down(cli: Cli) -> int:
    """Stop the node and all it runs."""
    from sparkplug.client import local

    cli.refuse_elsewhere("down")
    ran = await local.down(cli.paths)
    if cli.out.structured:
        cli.out.data({"changed": ran})
    else:
        cli.out.text("the node is down" if ran else "no node was running here")
    return 0


def foreground(cli: Cli) -> int:
    """Become the node."""
    cli.refuse_elsewhere("node")
    _pass_url(cli)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "sparkplug.node"])  # noqa: S606  by design


def _pass_url(cli: Cli) -> None:
    """A node is told of its server by its settings; a flag of ours reaches it this way."""
    if cli.url:
        os.environ["SPARKPLUG_NATS_URL"] = cli.url


async def status(cli: Cli) -> int:
    """This host's node and every node of the mesh. 5 when no mesh can be reached."""
    from sparkplug.client.status import mesh_status

    unreached: SparkplugError | None = None
    try:
        async with cli.connect() as client:
            found = await mesh_status(client, cli.paths, cli.settings)
    except (NoMeshError, RefusedError) as error:
        unreached = error
        found = await mesh_status(None, cli.paths, cli.settings)
    if cli.out.structured:
        cli.out.data(plain(found))
        return unreached.exit_code if unreached else 0
    node, nats = found.node, found.nats
    rows = [
        ("mesh", f"{found.mesh}  {found.url or 'not reached'}"),
        ("node", f"{node['name']}  {node['state']}" + (f"  pid {node['pid']}" * bool(node["pid"]))),
        ("nats", f"{nats['version'] or 'none'}  {'ours' if nats['owned'] else 'not ours'}"),
        ("version", found.version),
    ]
    for title, text in rows:
        cli.out.text(f"{title:<8} {text}")
    if node["cut_off"]:
        cli.out.text(f"  ◌ {_cut_off(str(node['cut_off']), node['agents'])}")
    for other in found.nodes:
        differs = f"  version {other['version']}" if other["version"] != found.version else ""
        why = f"  {other['reason']}" if other["reason"] else ""
        why += _clock(other["clock_offset_seconds"])
        why += f"  {other['order']}" if other["order"] else ""
        old = f", last heard {other['age_seconds']} s ago" if other["state"] == "stale" else ""
        cli.out.text(
            f"  {_mark(other['state'])} {other['name']}  {other['state']}{old}{differs}{why}"
        )
    if unreached is not None:
        cli.out.talk(f"sparkplug: {unreached}")
        return unreached.exit_code
    return 0


def _cut_off(since: str, agents: object) -> str:
    """Since when this host is cut off, and what runs on here."""
    began = datetime.fromisoformat(since)
    for_so_long = figures.span(max(0.0, (utc_now() - began).total_seconds()))
    names = agents if isinstance(agents, list) else []
    run_on = f"{len(names)} agent{'s' * (len(names) != 1)} run{'s' * (len(names) == 1)} on"
    listed = f": {', '.join(names)}" if names else ""
    local = began.astimezone().strftime("%H:%M:%S")
    return f"cut off from the mesh since {local} ({for_so_long}); {run_on}{listed}"


def _clock(offset: object) -> str:
    """How far a host's clock is off, when that is worth a word."""
    if not isinstance(offset, int | float) or abs(offset) < CLOCK_TOLD_S:
        return ""
    return f"  its clock is {abs(offset):.1f} s {'ahead' if offset > 0 else 'behind'}"


def _mark(state: object) -> str:
    marks = {"ready": "●", "degraded": "▲", "stale": "◌", "cut-off": "◌", "stopped": "○"}
    return marks.get(str(state), "◐")


async def doctor(cli: Cli) -> int:
    """All checks. 1 when one fails."""
    from dataclasses import asdict

    from sparkplug.client.doctor import diagnose

    try:
        async with cli.connect() as client:
            checks = await diagnose(client, None, cli.paths, cli.settings)
    except (NoMeshError, RefusedError) as error:
        checks = await diagnose(None, error, cli.paths, cli.settings)
    if cli.out.structured:
        cli.out.data([asdict(check) for check in checks])
    else:
        for check in checks:
            cli.out.text(f"{_MARKS[check.state]} {check.name:<12} {check.text}")
            if check.fix:
                cli.out.text(f"  {'':<12} → {check.fix}")
    return 1 if any(check.state == "fail" for check in checks) else 0


def version(cli: Cli) -> int:
    """The version."""
    if cli.out.structured:
        cli.out.data({"version": __version__, "python": platform.python_version()})
    else:
        cli.out.text(f"sparkplug {__version__}")
    return 0


def env(cli: Cli) -> int:
    """What a stock NATS client needs to connect, for `eval`."""
    from sparkplug.client.session import locate

    place = locate(cli.url, cli.paths, cli.settings, context=cli.context)
    values = {"NATS_URL": place.url}
    if place.creds is not None:
        values["NATS_CREDS"] = str(place.creds)
    if place.ca is not None:
        values["NATS_CA"] = str(place.ca)
    if cli.out.structured:
        cli.out.data(values)
    else:
        for name, value in values.items():
            cli.out.text(f"export {name}={shlex.quote(value)}")
    return 0
