"""One replica with real processes and a host that writes down what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from sparkplug.agents.exits import EXIT_OUT_OF_MEMORY, Exit
from sparkplug.agents.stalls import Stall
from sparkplug.bus.cancellation import end
from sparkplug.node.records import ProcessRecord
from sparkplug.node.replica import Replica
from sparkplug.node.replica_host import Wanted
from sparkplug.processes import start_time
from sparkplug.schema.agent import AgentReport, DesiredAgent, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec, Health
from sparkplug.schema.agent_state import SERVING, AgentState, ReasonKind, is_allowed

_DEADLINE_S = 60.0


@dataclass
class FakeHost:
    """Starts `sleep`s, and keeps what is published."""

    ready_timeout: float = 30.0
    stop_timeout: float = 10.0
    killed_for_memory: bool = False
    exit: Exit = field(default_factory=lambda: Exit(None, None))
    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    seen: list[ObservedAgent] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    async def spawn(self, observed: ObservedAgent, wanted: Wanted) -> ProcessRecord:
        process = subprocess.Popen(["sleep", "300"], start_new_session=True)
        self.processes.append(process)
        return ProcessRecord(
            agent=observed.name,
            replica=observed.replica,
            pid=process.pid,
            started=start_time(process.pid) or 0.0,
            generation=wanted.desired.generation,
            limits="memory 1GiB by control group",
        )

    async def exit_of(self, pid: int) -> Exit:
        return self.exit

    def forget(self, record: ProcessRecord) -> None:
        return

    def out_of_memory(self, record: ProcessRecord) -> bool:
        return self.killed_for_memory

    async def last_lines(self, record: ProcessRecord) -> str:
        return "its last words"

    def observe(self, observed: ObservedAgent) -> None:
        self.seen.append(observed.model_copy(deep=True))

    def emit(self, name: str, observed: ObservedAgent, *, actor: str = "", **data: object) -> None:
        self.events.append((name, actor, dict(data)))

    def names(self) -> list[str]:
        return [name for name, _, _ in self.events]


class Case:
    """A replica that runs, and its agent's voice."""

    def __init__(self, **spec: Any) -> None:
        self.host = FakeHost()
        self.observed = ObservedAgent(
            name="a", replica="0", runtime="python", owner="me", state=AgentState.DEPLOYING
        )
        self.replica = Replica(self.host, self.observed)
        self.spec = AgentSpec(name="a", entrypoint="a:b", **spec)
        self.sequence = 0

    def want(self, **change: Any) -> None:
        wanted = DesiredAgent(spec=self.spec, changed_by="ada", reason="deploy", **change)
        self.replica.want(Wanted(wanted))

    def said(self, state: AgentState = AgentState.IDLE, **report: Any) -> AgentReport:
        self.sequence += 1
        fields = {
            "pid": self.replica.pid or 0,
            "process": self.replica.process,
            "sequence": self.sequence,
            **report,
        }
        return AgentReport(agent="a", replica="0", state=state, **fields)

    def say(self, state: AgentState = AgentState.IDLE, **report: Any) -> None:
        self.replica.report(self.said(state, **report))

    async def until(self, condition: Callable[[], object]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DEADLINE_S):
                while not condition():
                    await asyncio.sleep(0.005)
        assert condition(), (self.observed.state, self.observed.reason, self.host.events)

    async def is_(self, state: AgentState) -> None:
        await self.until(lambda: self.observed.state is state)

    async def serve(self) -> None:
        """Wanted, started, heard."""
        self.want()
        await self.until(lambda: self.observed.pid)
        self.say()
        assert self.observed.state is AgentState.IDLE

    def stall(self, seconds: float = 3.0, seen: float = 0.0) -> Stall:
        now = time.monotonic()
        return Stall(
            process=self.replica.process, since=now - seconds, seen=now - seen, where="m.f (m.py:7)"
        )


@pytest.fixture
async def case() -> AsyncIterator[Callable[..., Case]]:
    """Makes cases; ends their loops and processes."""
    made: list[tuple[Case, asyncio.Task[None]]] = []

    def make(**spec: Any) -> Case:
        one = Case(**spec)
        made.append((one, asyncio.create_task(one.replica.run())))
        return one

    yield make
    for one, task in made:
        await end(task)
        for process in one.host.processes:
            process.kill()
            process.wait()


Make = Callable[..., Case]


async def test_a_life_is_told_with_who_and_why(case: Make) -> None:
    one = case()
    await one.serve()
    one.want(run=False)
    await one.is_(AgentState.STOPPED)
    assert [kept.state.value for kept in one.observed.history] == [
        "starting", "idle", "stopping", "stopped",
    ]  # fmt: skip
    assert [kept.source.value for kept in one.observed.history] == [
        "node", "agent", "node", "node",
    ]  # fmt: skip
    assert one.observed.reason == "deploy by ada"
    assert [(name, actor) for name, actor, _ in one.host.events] == [
        ("agent:started", "ada"),
        ("agent:registered", ""),
        ("agent:ready", "a/0"),
        ("agent:stopped", "ada"),
    ]


async def test_a_late_word_changes_nothing(case: Make) -> None:
    one = case()
    await one.serve()
    late = one.said(AgentState.IDLE)
    one.say(AgentState.RUNNING, inflight=1)
    one.replica.report(late)
    assert (one.observed.state, one.observed.inflight) == (AgentState.RUNNING, 1)
    # One of another process that had the same pid.
    one.replica.report(one.said(AgentState.IDLE, process=f"{one.replica.pid}-1"))
    assert one.observed.state is AgentState.RUNNING


async def test_a_word_after_the_end_changes_nothing(case: Make) -> None:
    one = case(restart={"policy": "never"})
    await one.serve()
    late = one.said(AgentState.RUNNING, inflight=1)
    one.host.processes[0].kill()
    await one.is_(AgentState.ERROR)
    one.replica.report(late)
    assert one.observed.state is AgentState.ERROR
    # Nor is it taken for the word of the next process.
    one.want(generation=2)
    await one.until(lambda: len(one.host.processes) == 2 and one.observed.pid)
    assert one.observed.state is AgentState.STARTING


async def test_the_actions_of_a_late_report_are_not_lost(case: Make) -> None:
    one = case()
    await one.serve()
    late = one.said(actions={"prompt": {}})
    one.say()
    one.replica.report(late)
    assert one.observed.actions == {"prompt": {}}
    assert one.host.seen[-1].actions == {"prompt": {}}


@pytest.mark.parametrize("seed", range(10))
async def test_in_any_order_of_words_the_newest_of_this_process_holds(
    case: Make, seed: int
) -> None:
    rng = random.Random(seed)
    one = case()
    await one.serve()
    states = [*sorted(SERVING), AgentState.STARTING, AgentState.ERROR, AgentState.STOPPED]
    words = [one.said(rng.choice(states), inflight=n) for n in range(60)]
    rng.shuffle(words)
    newest = 0
    for word in words:
        before = one.observed.state
        if rng.random() < 0.1:
            word.process = "1-1"
        one.replica.report(word)
        if word.process == "1-1" or word.sequence <= newest:
            assert one.observed.state is before
            continue
        newest = word.sequence
        held = word.state if word.state in SERVING else before
        assert one.observed.state is held
        assert one.observed.inflight == word.inflight
    for earlier, later in zip(one.host.seen, one.host.seen[1:], strict=False):
        assert earlier.state is later.state or is_allowed(
            earlier.state, later.state, later.state_source
        )


async def test_what_says_nothing_new_is_not_published(case: Make) -> None:
    one = case()
    await one.serve()
    count = len(one.host.seen)
    for _ in range(50):
        one.say()
    assert len(one.host.seen) == count
    one.say(served=1)
    assert len(one.host.seen) == count + 1


async def test_silence_is_stale_and_the_next_word_ends_it(
    case: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = case()
    await one.serve()
    one.say(AgentState.RUNNING, inflight=1)
    one.replica.check_silence()
    assert one.observed.state is AgentState.RUNNING
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 7.0)
    one.replica.check_silence()
    assert one.observed.state is AgentState.STALE
    assert one.observed.reason == "silent for 7 s, its process runs"
    assert one.observed.reason_kind is ReasonKind.SILENT
    one.say(AgentState.RUNNING, inflight=1)
    assert (one.observed.state, one.observed.reason) == (AgentState.RUNNING, None)
    told = [name for name in one.host.names() if name in ("agent:lost", "agent:ready")]
    assert told == ["agent:ready", "agent:lost", "agent:ready"]


async def test_blocked_is_degraded_while_it_is_and_then_what_it_was(case: Make) -> None:
    one = case()
    await one.serve()
    one.say(AgentState.RUNNING, inflight=1)
    one.replica.blocked(one.stall())
    assert one.observed.state is AgentState.DEGRADED
    assert one.observed.reason == "blocked for 3 s in m.f (m.py:7)"
    # A word that was on its way says nothing else.
    one.say(AgentState.RUNNING, inflight=1)
    assert one.observed.state is AgentState.DEGRADED
    one.replica.blocked(None)
    assert (one.observed.state, one.observed.reason) == (AgentState.RUNNING, None)


async def test_a_stall_nobody_repeats_is_silence(
    case: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = case()
    await one.serve()
    stall = one.stall()
    one.replica.blocked(stall)
    one.replica.check_silence()
    assert one.observed.state is AgentState.DEGRADED
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 7.0)
    one.replica.blocked(stall)
    one.replica.check_silence()
    assert one.observed.state is AgentState.STALE


async def test_one_that_is_busy_while_it_starts_says_with_what(case: Make) -> None:
    one = case()
    one.want()
    await one.until(lambda: one.observed.pid)
    one.replica.blocked(one.stall())
    assert one.observed.state is AgentState.STARTING
    assert one.observed.reason == "it is busy for 3 s in m.f (m.py:7)"
    one.replica.blocked(None)
    assert one.observed.reason is None


async def test_not_ready_takes_no_prompts_and_is_not_told_as_ready(case: Make) -> None:
    one = case()
    one.want()
    await one.until(lambda: one.observed.pid)
    one.say(AgentState.STARTING, accepting=False, reason="not ready: no index")
    assert not one.observed.takes_prompts
    assert one.host.names() == ["agent:started", "agent:registered"]
    one.say()
    assert one.host.names()[-1] == "agent:ready"
    assert one.observed.takes_prompts
    one.say(AgentState.DEGRADED, accepting=False, reason="not ready: no index")
    assert one.observed.state is AgentState.DEGRADED
    assert not one.observed.takes_prompts


async def test_one_on_the_bus_that_is_not_ready_is_not_killed_for_it(case: Make) -> None:
    one = case()
    one.host.ready_timeout = 1.0
    one.want()
    await one.until(lambda: one.observed.pid)
    one.say(AgentState.STARTING, accepting=False)
    await asyncio.sleep(1.1)
    assert one.host.processes[0].poll() is None


async def test_one_that_never_comes_up_is_killed_and_says_so(case: Make) -> None:
    one = case(restart={"policy": "never"})
    one.host.ready_timeout = 0.1
    one.want()
    await one.is_(AgentState.ERROR)
    assert one.observed.reason == "not on the bus after 0.1 s"
    assert one.observed.reason_kind is ReasonKind.NEVER_READY


@pytest.mark.parametrize("restart", [True, False])
async def test_what_is_not_live_is_ended_only_when_that_is_wanted(
    case: Make, restart: bool
) -> None:
    one = case(health=Health(restart_unhealthy=restart), restart={"backoff": 0.01})
    await one.serve()
    one.say(AgentState.DEGRADED, reason="liveness fails: no (3 times)", unhealthy=True)
    if not restart:
        await asyncio.sleep(0.1)
        assert one.host.processes[0].poll() is None
        assert one.observed.state is AgentState.DEGRADED
        return
    await one.until(lambda: len(one.host.processes) == 2 and one.observed.pid)
    assert one.host.processes[0].wait() == -signal.SIGTERM
    error = next(data for name, _, data in one.host.events if name == "agent:error")
    assert error["reason"].startswith("liveness fails: no (3 times); restart 1")
    assert error["kind"] == "unhealthy"
    # The next process is not held for dead because the one before was.
    one.sequence = 0
    one.say()
    await asyncio.sleep(0.1)
    assert one.observed.state is AgentState.IDLE


async def test_one_blocked_for_long_is_ended_when_that_is_wanted(case: Make) -> None:
    one = case(health=Health(restart_unhealthy=True), restart={"backoff": 0.01})
    await one.serve()
    one.replica.blocked(one.stall(seconds=5.0))
    assert one.host.processes[0].poll() is None
    one.replica.blocked(one.stall(seconds=7.0))
    await one.until(lambda: len(one.host.processes) == 2)
    assert any("blocked for 7 s in m.f" in str(data) for _, _, data in one.host.events)


async def test_killed_for_memory_says_so(case: Make) -> None:
    one = case(restart={"policy": "never"})
    await one.serve()
    one.host.killed_for_memory = True
    one.host.processes[0].kill()
    await one.is_(AgentState.ERROR)
    assert one.observed.reason == (
        "killed by the kernel: out of memory (memory 1GiB by control group)"
    )
    assert one.observed.reason_kind is ReasonKind.OUT_OF_MEMORY
    assert one.observed.last_lines == "its last words"


async def test_held_back_keeps_why_and_the_last_words_until_it_starts_again(case: Make) -> None:
    one = case(restart={"max": 1, "backoff": 0.01})
    one.host.exit = Exit(EXIT_OUT_OF_MEMORY << 8, "out of memory: its limit is 1GiB, by rlimit")
    for count in (1, 2):
        if count == 1:
            one.want()
        await one.until(lambda: len(one.host.processes) == count and one.observed.pid)  # noqa: B023
        one.sequence = 0
        one.say()
        one.host.processes[-1].kill()
    await one.until(lambda: "held back" in (one.observed.reason or ""))
    assert one.observed.reason == (
        "out of memory: its limit is 1GiB, by rlimit; held back after 1 restarts"
    )
    assert one.observed.reason_kind is ReasonKind.OUT_OF_MEMORY
    assert one.observed.last_lines == "its last words"
    one.want(generation=2)
    await one.until(lambda: len(one.host.processes) == 3)
    assert one.observed.last_lines == ""


async def test_busy_and_idle_are_told_seldom_and_truly(
    case: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = case()
    await one.serve()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for served in range(100):
        one.say(AgentState.RUNNING, inflight=1, served=served)
        one.say(AgentState.IDLE, served=served + 1)

    def told() -> list[str]:
        return [name for name in one.host.names() if name in ("agent:busy", "agent:idle")]

    assert told() == ["agent:busy"]
    now += 9.0
    one.say()
    assert told() == ["agent:busy"]
    now += 2.0
    one.replica.check_silence()
    assert told() == ["agent:busy", "agent:idle"]


async def test_an_adopted_one_keeps_its_story(case: Make) -> None:
    before = case()
    await before.serve()
    before.say(AgentState.RUNNING, inflight=1)
    seen = before.host.seen[-1]
    record = before.replica._record
    assert record is not None
    after = Case()
    after.replica.adopt(record, seen)
    after.want()
    task = asyncio.create_task(after.replica.run())
    try:
        assert after.observed.state is AgentState.RUNNING
        assert after.observed.history == seen.history
        after.say(AgentState.IDLE)
        assert after.observed.history[-1].state is AgentState.IDLE
        assert after.host.names() == ["agent:idle"]
        before.host.processes[0].kill()
        await after.is_(AgentState.ERROR)
    finally:
        await end(task)
        for process in after.host.processes:
            process.kill()
            process.wait()
