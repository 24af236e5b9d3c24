"""A shell beside an agent: in its folder, with its environment, on the host that runs it."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparkplug.client import specs
from sparkplug.client.agents import replicas
from sparkplug.client.local import read_node
from sparkplug.client.session import Client
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.agent_environment import inherited, own
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.errors import NotFoundError, RefusedError

#: What a terminal needs, and an agent has not.
_TERMINAL = ("TERM", "COLORTERM", "COLORFGBG", "NO_COLOR")
_MESH = ("SPARKPLUG_HOME", "SPARKPLUG_CONTEXT", "SPARKPLUG_URL")
_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Shell:
    """What to run, where, and with which environment."""

    words: Sequence[str]
    folder: str
    environment: Mapping[str, str]


async def beside(
    client: Client, name: str, replica: str | None = None, command: Sequence[str] = ()
) -> Shell:
    """The person's shell, or a command, as it would run as this replica of an agent.

    Its interpreter comes first on the PATH, its modules are found; it is no agent, and has none of
    its credentials. Without `replica` it is the first that runs here. Raises NotFoundError, and
    RefusedError for a replica of another host and for a foreign agent.
    """
    wanted, _ = await specs.require(client, name)
    there = [agent for agent in await replicas(client, name) if not agent.foreign]
    node = read_node(client.paths)
    chosen = _choose(name, there, replica, node.name if node else "")
    environ = await asyncio.to_thread(_environment_of, node.pid) if node else {}
    keys = client.settings.llm.key_variables
    environment = inherited(environ) | {key: environ[key] for key in keys if environ.get(key)}
    environment |= own(wanted.spec, environ, chosen.gpus)
    interpreter = _interpreter(wanted.spec, wanted.folder)
    environment |= {
        "PATH": _before(str(interpreter.parent), environment.get("PATH", os.defpath)),
        "PYTHONPATH": _before(wanted.folder, environment.get("PYTHONPATH", "")),
        "SPARKPLUG_AGENT": f"{name}/{chosen.replica}",
    }
    environment |= {key: os.environ[key] for key in (*_TERMINAL, *_MESH) if key in os.environ}
    words = list(command) or [os.environ.get("SHELL") or _SHELL]
    return Shell(words, wanted.folder or "/", environment)


def _choose(
    name: str, there: Sequence[ObservedAgent], replica: str | None, host: str
) -> ObservedAgent:
    found = [agent for agent in there if replica in (None, agent.replica)]
    if not found:
        names = ", ".join(agent.replica for agent in there) or "none"
        raise NotFoundError(f"{name} has no replica {replica}", hint=f"there are: {names}")
    here = [agent for agent in found if agent.node == host]
    if not here:
        away = found[0]
        if away.node is None:
            raise NotFoundError(f"{name} is on no host: {away.reason or away.state}")
        again = shlex.join(["sparkplug", "agents", "shell", name, "--replica", away.replica])
        raise RefusedError(
            f"{name}/{away.replica} is on {away.node}, and a shell beside it is on that host alone",
            hint=f"ssh -t {away.node} {again}",
        )
    return next((agent for agent in here if agent.pid), here[0])


def _environment_of(pid: int) -> dict[str, str]:
    """The environment a process was started with."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError as error:
        raise RefusedError(f"the environment of the node may not be read: {error}") from error
    pairs = (part.partition("=") for part in raw.decode(errors="surrogateescape").split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def _interpreter(spec: AgentSpec, folder: str) -> Path:
    return Path(folder, spec.python) if spec.python else Path(sys.executable)


def _before(first: str, rest: str) -> str:
    return os.pathsep.join(part for part in (first, rest) if part)
