"""Who may read and write which memories: by who is proved to ask, never by what a request says.

The subject of a request ends with who asks, and the server lets a user publish on no other
(`node/permissions.py`). On a server that somebody else owns, with one user for all, that is not
so, and agents are not kept apart there: see docs/security.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from sparkplug.schema.agent_spec import AgentMemory
from sparkplug.schema.errors import InvalidError, NotFoundError, RefusedError
from sparkplug.schema.memory import MemoryState, check_scope
from sparkplug.schema.text import one_line

MESH = "mesh"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a replica of an agent, or a person's client (`agent` is empty)."""

    agent: str
    owner: str
    replica: str
    user: str = ""

    @property
    def is_person(self) -> bool:
        """Whether it is no agent: people may see and correct everything."""
        return not self.agent

    @property
    def author(self) -> str:
        """How it is written down."""
        return self.user if self.is_person else f"{self.agent}/{self.replica}"

    @property
    def subject(self) -> str:
        """The end of its subjects."""
        if self.is_person:
            return f"face.{self.user}"
        return f"agent.{self.agent}.{self.owner}.{self.replica}"


def caller_of(words: Sequence[str]) -> Caller | None:
    """Who a subject's last words name; None when they name nobody."""
    if len(words) == 2 and words[0] == "face":
        return Caller("", "", "", words[1])
    if len(words) == 4 and words[0] == "agent":
        return Caller(words[1], words[2], words[3])
    return None


RunAgents = Callable[[str], Awaitable[set[str]]]


class Access:
    """The rules. `policies` gives an agent's `memory:` section, `run_agents` who works in a run."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[str]],
        readers: Mapping[str, Sequence[str]],
        policy_of: Callable[[str], AgentMemory],
        run_agents: RunAgents,
    ) -> None:
        self._groups = groups
        self._readers = readers
        self._policy_of = policy_of
        self._run_agents = run_agents

    def check_enabled(self, caller: Caller) -> None:
        """Raise RefusedError for an agent whose file says that it has no memory."""
        if not caller.is_person and not self._policy_of(caller.agent).enabled:
            raise RefusedError(
                f"{caller.agent} has no memory: its file says `memory: {{enabled: false}}`",
                hint="`sparkplug agents edit` changes that",
            )

    def default_scope(self, caller: Caller, run: str) -> str:
        """Where an agent's memories go when it does not say. Raises InvalidError without a run."""
        if caller.is_person:
            return MESH
        kind = self._policy_of(caller.agent).scope
        match kind:
            case "run":
                if not run:
                    raise InvalidError(
                        f"{caller.agent} remembers by run, and this is outside of any",
                        hint="name a scope, like agent:" + caller.agent,
                    )
                return f"run:{run}"
            case "owner":
                return f"owner:{caller.owner}"
            case "group":
                found = [name for name in self._groups if self._in_group(caller, name)]
                if not found:
                    raise RefusedError(
                        f"{caller.agent} remembers by group, and is in none",
                        hint="memory.groups in the settings of the memory's host names them",
                    )
                return f"group:{found[0]}"
            case "mesh":
                return MESH
        return f"agent:{caller.agent}"

    async def check_write(self, caller: Caller, scope: str) -> None:
        """Raise RefusedError when the caller may not write there, InvalidError for no scope."""
        self.check_enabled(caller)
        check_scope(scope)
        if caller.is_person or await self._is_its_own(caller, scope):
            return
        raise RefusedError(f"{caller.agent} may not write to {one_line(scope)}")

    async def check_read(self, caller: Caller, scope: str) -> None:
        """The same for reading."""
        self.check_enabled(caller)
        check_scope(scope)
        if caller.is_person or await self._is_its_own(caller, scope):
            return
        if _named(self._readers.get(scope, ()), caller.agent):
            return
        raise RefusedError(f"{caller.agent} may not read {one_line(scope)}")

    async def check_seen(self, caller: Caller, scope: str, state: str) -> None:
        """What an agent may not read is not there for it, so that ids tell nothing."""
        try:
            await self.check_read(caller, scope)
        except RefusedError as error:
            raise NotFoundError("no memory of that id") from error
        if state != MemoryState.KEPT:
            raise NotFoundError("no memory of that id")

    async def readable(self, caller: Caller, asked: Sequence[str], run: str) -> list[str] | None:
        """The scopes to look in; None is all. Raises RefusedError when one may not be read."""
        self.check_enabled(caller)
        for scope in asked:
            await self.check_read(caller, scope)
        if asked:
            return list(dict.fromkeys(asked))
        if caller.is_person:
            return None
        found = [f"agent:{caller.agent}", f"owner:{caller.owner}", MESH]
        found += [f"group:{name}" for name in self._groups if self._in_group(caller, name)]
        found += [s for s, names in self._readers.items() if _named(names, caller.agent)]
        if run and await self._is_its_own(caller, f"run:{run}"):
            found.append(f"run:{run}")
        return list(dict.fromkeys(found))

    async def _is_its_own(self, caller: Caller, scope: str) -> bool:
        kind, _, name = scope.partition(":")
        match kind:
            case "mesh":
                return True
            case "agent":
                return name == caller.agent
            case "owner":
                return name == caller.owner
            case "group":
                return self._in_group(caller, name)
            case "run":
                return caller.agent in await self._run_agents(name)
        return False

    def _in_group(self, caller: Caller, group: str) -> bool:
        return _named(self._groups.get(group, ()), caller.agent)


def _named(names: Sequence[str], agent: str) -> bool:
    return agent in names or "*" in names
