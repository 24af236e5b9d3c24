"""The doctor's checks of a mesh that answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import nats.errors
import nats.js.errors

from sparkplug import __version__
from sparkplug.bus.clock import clock_offset
from sparkplug.bus.streams import layout
from sparkplug.client.agents import list_agents
from sparkplug.client.check import Check, fail, ok, warn
from sparkplug.client.hosts import list_hosts
from sparkplug.client.nodes import read_nodes
from sparkplug.client.session import Client
from sparkplug.client.versions import protocol_differs
from sparkplug.config import Settings
from sparkplug.schema.agent import AgentState
from sparkplug.schema.errors import NoMeshError, SparkplugError
from sparkplug.schema.host import Driver, DriverState
from sparkplug.schema.node import NodeState

#: A stream fuller than this is told of before it refuses.
_NEARLY_FULL = 0.9
_SKEW_S = 2.0
_ASK_S = 5.0
_MIB = 1 << 20


def not_reached(error: SparkplugError | None, settings: Settings) -> Check:
    """The one check that remains when no mesh can be reached."""
    text = error.message if error else "no mesh can be reached"
    fix = error.hint if error else None
    if isinstance(error, NoMeshError) and not settings.nats.url:
        return warn("server", text, "sparkplug up")
    return fail("server", text, fix)


async def server(client: Client) -> Check:
    """The server answers."""
    asked = time.monotonic()
    await client.bus.flush(_ASK_S)
    took = (time.monotonic() - asked) * 1000
    told = client.bus.nc.connected_server_version
    version = f"{told.major}.{told.minor}.{told.patch}"
    if client.private:
        owner = "our private server"
    elif client.paths.joined.exists() and client.settings.nats.url:
        owner = f"the server of {client.mesh}, on another host"
    else:
        owner = "somebody else's server"
    text = f"{client.bus.shown_url} ({owner}, {version}), {took:.1f} ms away"
    return ok("server", text)


async def identity(client: Client) -> Check:
    """Every agent has a NATS user of its own, or what it costs that it has not."""
    nats_settings = client.settings.nats
    if client.private:
        return ok("identity", "every agent has a user of its own, signed by our account")
    if not nats_settings.url:
        return ok("identity", "the mesh is another host's; its nodes give agents their users")
    if nats_settings.signing_key:
        return ok("identity", "every agent of this node has a user of its own, by its signing key")
    return warn(
        "identity",
        "the agents of this node share its user: one can serve as another, read its replies, and "
        "change specs, assignments and runs",
        "name a signing key of the account in nats.signing_key; see docs/mesh.md",
    )


async def versions(client: Client) -> Check:
    """All nodes and this face are of one release, or understand each other all the same."""
    found = await read_nodes(client.bus)
    deaf = [told for told in map(protocol_differs, found) if told]
    if deaf:
        return fail("versions", "; ".join(deaf), "upgrade the older ones")
    others = sorted(
        {f"{node.name} {node.version}" for node in found if node.version != __version__}
    )
    if others:
        text = f"this is {__version__}, others differ and understand it: {', '.join(others)}"
        return warn("versions", text, "upgrade them when it suits")
    return ok("versions", f"all are {__version__}")


async def streams(client: Client) -> Check:
    """All streams and buckets are there."""
    settings = client.settings
    names = {
        config.name or ""
        for config in layout(settings.nats.max_store, settings.events.max, settings.events.keep)
    }
    try:
        there = {info.config.name for info in await client.bus.js.streams_info()}
    except (nats.errors.Error, nats.js.errors.Error) as error:
        return fail("streams", f"JetStream does not answer: {error}", "enable JetStream there")
    missing = sorted(names - there)
    if missing:
        return fail("streams", f"missing: {', '.join(missing)}", "`sparkplug up` makes them")
    return ok("streams", f"all {len(names)} are there")


async def storage(client: Client) -> Check:
    """Nothing is about to be refused for want of room."""
    full: list[str] = []
    used = 0
    for info in await client.bus.js.streams_info():
        used += info.state.bytes
        cap = info.config.max_bytes or 0
        if cap > 0 and info.state.bytes > cap * _NEARLY_FULL:
            full.append(f"{info.config.name} ({info.state.bytes / cap:.0%})")
    if full:
        return warn("storage", f"nearly full: {', '.join(full)}", "raise nats.max_store, restart")
    return ok("storage", f"{used / _MIB:.1f} of {client.settings.nats.max_store // _MIB} MiB used")


async def clock(client: Client) -> Check:
    """The clocks of this host and of the server agree. JetStream's answers carry its time."""
    try:
        skew = -await clock_offset(client.bus)
    except (TimeoutError, SparkplugError) as error:
        return fail("clock", f"JetStream does not answer: {error}")
    if abs(skew) > _SKEW_S:
        text = f"the server's clock is {skew:+.1f} s from this host's"
        return warn("clock", text, "let NTP set both; ages and times are shown wrong meanwhile")
    return ok("clock", f"{skew * 1000:+.0f} ms from the server's")


async def hosts(client: Client) -> Check:
    """Every node is up, and its GPU driver answers."""
    views = await list_hosts(client)
    silent = [v.name for v in views if v.state is NodeState.STALE]
    bad_states = (DriverState.NOT_RESPONDING, DriverState.ERROR)
    broken = [v for v in views if v.sample and v.sample.driver.state in bad_states]
    if silent:
        text = f"silent: {', '.join(silent)}"
        return fail("hosts", text, "is that host up? `sparkplug up` there starts its node")
    if broken:
        told = "; ".join(f"{v.name}: {_driver(v.sample.driver)}" for v in broken if v.sample)
        return fail("hosts", told, "`dmesg | grep -i xid` there; a reboot frees a stuck driver")
    if not views:
        return warn("hosts", "no node has joined", "sparkplug up")
    drivers = ", ".join(
        f"{v.name} ({_driver(v.sample.driver) if v.sample else 'no sample yet'})" for v in views
    )
    return ok("hosts", drivers)


async def agents(client: Client) -> Check:
    """No agent is in error."""
    found = await list_agents(client)
    failed = [a for a in found if a.state in (AgentState.ERROR, AgentState.STALE)]
    if failed:
        told = "; ".join(f"{a.name}/{a.replica} {a.state}: {a.reason}" for a in failed[:5])
        return fail("agents", told, f"sparkplug agents logs {failed[0].name}")
    return ok("agents", f"{len(found)}, none in error")


def _driver(driver: Driver) -> str:
    words = {DriverState.OK: "driver ok", DriverState.NO_DRIVER: "no NVIDIA driver"}
    text = words.get(driver.state, f"driver {driver.state}".replace("_", " "))
    return f"{text}{f': {driver.reason}' if driver.reason else ''}"


MESH_CHECKS: tuple[Callable[[Client], Awaitable[Check]], ...] = (
    server,
    identity,
    versions,
    streams,
    storage,
    clock,
    hosts,
    agents,
)
