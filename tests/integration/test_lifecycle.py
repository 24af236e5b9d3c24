"""The lifecycle on a real node: rolling, draining, cancelling, editing, undoing, waiting."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.node import Node, eventually
from sparkplug.actions.registry import ACTIONS, ActionResult
from sparkplug.bus import subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.buckets import Bucket
from sparkplug.client import agents, events, hosts, prompts, runs, spec_history
from sparkplug.client.cancelling import in_hand
from sparkplug.client.rollouts import rollout_text
from sparkplug.client.session import Client
from sparkplug.client.waiting import wait_for
from sparkplug.node.observed import agent_key
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.errors import (
    CancelledRequestError,
    ConflictError,
    InvalidError,
    NoMeshError,
    NotFoundError,
    SparkplugError,
)

DEADLINE_S = 60.0

#: `version` answers which code it runs; `slow` works until it is let go; `deaf` does not let go.
CODE = """\
import asyncio
import contextlib
import os
import time


async def handle(ctx, request):
    if request.text == "slow":
        await asyncio.sleep(float(os.environ.get("WORK", "600")))
        return "finished"
    if request.text == "deaf":
        for _ in range(200):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)
        return "at last"
    if request.text == "block":
        time.sleep(20)
    return os.environ.get("VERSION", "none")
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    running = Node(folder / "state")
    try:
        running.up()
        yield running
    finally:
        running.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def client(node: Node) -> AsyncIterator[Client]:
    async with node.client() as connected:
        yield connected


async def act(client: Client, name: str, *words: str, **given: Any) -> ActionResult:
    """Do an action as a face does it, having been agreed to."""
    action = ACTIONS[f"agents.{name}"]
    required = [argument.name for argument in action.arguments if argument.required]
    return await action.run(client, **dict(zip(required, words, strict=True)), **given)


async def replicas(client: Client, name: str) -> list[ObservedAgent]:
    return [agent for agent in await agents.list_agents(client) if agent.name == name]


async def states(client: Client, name: str) -> list[str]:
    return [str(agent.state) for agent in await replicas(client, name)]


async def inflight(client: Client, name: str) -> list[int]:
    return [agent.inflight for agent in await replicas(client, name)]


async def ask(client: Client, name: str, text: str, replica: str | None = None) -> str:
    """Prompt an agent and return its whole answer."""
    target = await agents.target(client, name, replica)
    parts = []
    async with contextlib.aclosing(prompts.prompt(client, target, text)) as chunks:
        async for chunk in chunks:
            if chunk.kind == "text":
                parts.append(chunk.text)
    return "".join(parts)


async def asking(client: Client, name: str, text: str, busy: int = 1) -> asyncio.Task[str]:
    """A prompt under way, once that many replicas are known to work."""
    task = asyncio.create_task(ask(client, name, text))

    async def at_work() -> bool:
        assert not task.done(), task.result()
        return sum(map(bool, await inflight(client, name))) >= busy

    await eventually(at_work, DEADLINE_S)
    return task


async def told(client: Client, event: str, subject: str) -> list[dict[str, Any]]:
    found = await events.read_events(client)
    return [e.data for e in found if (e.name, e.subject) == (event, subject)]


async def rollouts(client: Client, name: str) -> list[tuple[str, int]]:
    found = await told(client, "agent:rollout", name)
    return [(data["state"], data["generation"]) for data in found]


async def test_a_change_rolls_stops_where_it_fails_and_is_undone(
    node: Node, client: Client, tmp_path: Path
) -> None:
    path = node.write_agent(tmp_path, "roll", CODE, replicas=3, env={"VERSION": "1"})
    await act(client, "apply", str(path))
    first = {agent.pid for agent in await replicas(client, "roll")}
    node.write_agent(tmp_path, "roll", CODE, replicas=3, env={"VERSION": "2"})
    done = await act(client, "apply", str(path), reason="version 2", timeout=DEADLINE_S)
    assert done.message == "roll: changed"
    assert not first & {agent.pid for agent in await replicas(client, "roll")}

    async def order() -> list[str]:
        return [
            e.name
            for e in await events.read_events(client)
            if e.subject.startswith("roll/") and e.name in ("agent:started", "agent:ready")
        ]

    async def all_told() -> bool:
        return len(await order()) >= 12

    await eventually(all_told, DEADLINE_S)
    # The next begins only when the one before is ready.
    assert (await order())[-6:] == ["agent:started", "agent:ready"] * 3

    async def came_to(what: tuple[str, int]) -> bool:
        return what in await rollouts(client, "roll")

    await eventually(lambda: came_to(("finished", 2)), DEADLINE_S)
    assert await rollouts(client, "roll") == [("began", 2), ("finished", 2)]
    node.write_agent(tmp_path, "roll", CODE + "\n1 / 0\n", replicas=3, env={"VERSION": "3"})
    with pytest.raises(SparkplugError, match="ZeroDivisionError"):
        await act(client, "apply", str(path), timeout=DEADLINE_S)
    await eventually(lambda: came_to(("stopped", 3)), DEADLINE_S)
    assert await states(client, "roll") == ["error", "idle", "idle"]
    described = await agents.describe(client, "roll")
    assert "stopped: roll/0 failed" in rollout_text(described.desired, described.replicas)
    # A replica of the old generation that dies comes back as what it was.
    old = described.replicas[1].pid
    assert old is not None
    node.write_agent(tmp_path, "roll", CODE, replicas=3, env={"VERSION": "3"})
    os.kill(old, signal.SIGKILL)

    async def back() -> bool:
        agent = (await replicas(client, "roll"))[1]
        return agent.state == "idle" and agent.pid not in (None, old)

    await eventually(back, DEADLINE_S)
    assert await ask(client, "roll", "x", "1") == "2"
    assert "-  VERSION: '3'" in await spec_history.undo_diff(client, "roll")
    await act(client, "undo", "roll", reason="it was broken", timeout=DEADLINE_S)
    assert [await ask(client, "roll", "x", replica) for replica in "012"] == ["2"] * 3
    history = (await act(client, "history", "roll")).text
    assert "it was broken" in history
    assert "version 2" in history
    assert (await told(client, "agent:changed", "roll"))[-1]["reason"] == "it was broken"


async def test_what_an_agent_does_is_cancelled_and_its_caller_told(
    node: Node, client: Client, tmp_path: Path
) -> None:
    await act(client, "deploy", str(node.write_agent(tmp_path, "worker", CODE, replicas=2)))
    assert not (await act(client, "cancel", "worker")).changed
    asked = await asking(client, "worker", "slow")
    (view,) = [v for one in await in_hand(client, "worker") for v in one.requests or ()]
    with pytest.raises(NotFoundError, match="no request none"):
        await act(client, "cancel", "worker", request="none")
    result = await act(client, "cancel", "worker", request=view.id, reason="why")
    assert result.data["cancelled"][0]["requests"] == [view.id]
    with pytest.raises(CancelledRequestError, match=f"cancelled by {client.actor}: why"):
        await asked

    async def idle() -> bool:
        return await states(client, "worker") == ["idle", "idle"]

    await eventually(idle, DEADLINE_S)
    first = await asking(client, "worker", "slow")
    second = await asking(client, "worker", "slow", busy=2)
    with pytest.raises(ConflictError, match="worker/0, worker/1"):
        await act(client, "cancel", "worker")
    await act(client, "cancel", "worker/0")
    await act(client, "cancel", "worker", every=True)
    for asked in (first, second):
        with pytest.raises(CancelledRequestError):
            await asked
    await eventually(idle, DEADLINE_S)
    assert len(await told(client, "agent:cancelled", "worker/1")) >= 1


async def test_a_name_that_is_not_there_is_told_before_anybody_is_asked(
    node: Node, client: Client, tmp_path: Path
) -> None:
    await act(client, "deploy", str(node.write_agent(tmp_path, "there", CODE, replicas=2)))
    for verb in ("stop", "restart", "remove", "cancel"):
        for more in ((), ("--yes",)):
            told = node.cli("agents", verb, "there", "nobody", *more, check=False)
            assert (told.returncode, "no agent nobody" in told.stderr) == (3, True), told.stderr
    asked = node.cli("agents", "stop", "there", check=False)
    assert (asked.returncode, "all 2 replicas of it" in asked.stderr) == (4, True), asked.stderr
    # Of one that is wrong none is done.
    assert await states(client, "there") == ["idle", "idle"]


async def test_a_shell_beside_an_agent_has_its_folder_and_its_environment(
    node: Node, client: Client, tmp_path: Path
) -> None:
    path = node.write_agent(tmp_path, "beside", CODE, env={"VERSION": "7"}, replicas=2)
    await act(client, "deploy", str(path))
    script = "import beside_module, os; print(os.getcwd(), os.environ['VERSION'])"
    ran = node.cli("agents", "shell", "beside", "--", "python", "-c", script)
    assert ran.stdout == f"{tmp_path} 7\n"
    words = ("agents", "shell", "beside", "--replica", "1", "--", "env")
    shown = dict(line.partition("=")[::2] for line in node.cli(*words).stdout.splitlines())
    assert shown["SPARKPLUG_AGENT"] == "beside/1"
    assert not {"NATS_CREDS", "PYTEST_CURRENT_TEST"} & set(shown)
    # It begins also where the agent cannot: there one wants it most.
    await act(client, "stop", "beside", now=True)
    stopped = node.cli("agents", "shell", "beside", "--", "false", check=False)
    assert stopped.returncode == 1
    for more, code in (
        (["nobody"], 3),
        (["beside", "--replica", "9"], 3),
        (["beside", "--", "no-such-command"], 1),
        (["beside", "--readonly"], 4),
    ):
        told = node.cli("agents", "shell", *more, check=False)
        assert told.returncode == code, told.stderr


TALKING = """\
import asyncio
import contextlib


async def handle(ctx, request):
    yield "begun"
    while request.text == "deaf":
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)
    await asyncio.sleep(600)
"""


async def test_ctrl_c_of_a_prompt_cancels_it_and_says_so(
    node: Node, client: Client, tmp_path: Path
) -> None:
    await act(client, "deploy", str(node.write_agent(tmp_path, "left", TALKING, concurrency=4)))
    other = await asking(client, "left", "of somebody else")
    prompted = ("prompt", "left")
    shown = await asyncio.to_thread(
        on_terminal, node, [*prompted, "slow"], [("begun", "\x03")], ends=130
    )
    assert "left/0: cancelled" in shown, shown
    (one,) = await in_hand(client, "left")
    assert len(one.requests or ()) == 1, "what others asked goes on"
    assert len(await told(client, "agent:cancelled", "left/0")) == 1
    answers = [("begun", "\x03"), ("Ctrl-C again", "\x03")]
    shown = await asyncio.to_thread(on_terminal, node, [*prompted, "deaf"], answers, ends=130)
    assert "did not stop" not in shown, "it left at once"
    await act(client, "remove", "left", now=True)
    with pytest.raises(SparkplugError):
        await other


async def test_a_step_of_a_plan_that_is_cancelled_is_not_tried_again(
    node: Node, client: Client, tmp_path: Path
) -> None:
    await act(client, "deploy", str(node.write_agent(tmp_path, "stepper", CODE)))
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "name: slow\nsteps:\n"
        "  - {id: one, agent: stepper, prompt: slow, retry: {max: 3}, timeout: 2m}\n"
    )
    run = (await ACTIONS["runs.submit"].run(client, str(plan))).data["run"]

    async def at_work() -> bool:
        return any(await inflight(client, "stepper"))

    await eventually(at_work, DEADLINE_S)
    await act(client, "cancel", "stepper", reason="not today")
    with pytest.raises(SparkplugError, match=r"is failed: .*not today"):
        await wait_for(client, f"run/{run}", "succeeded", DEADLINE_S)
    await wait_for(client, f"run/{run}", "failed", DEADLINE_S)
    (step,) = (await runs.describe(client, run)).steps
    assert step.attempts == 1
    assert f"cancelled by {client.actor}: not today" in (step.error or "")


async def test_code_that_does_not_yield_is_told(node: Node, client: Client, tmp_path: Path) -> None:
    async def stuck(text: str) -> None:
        name = f"held-{text}"
        path = node.write_agent(tmp_path, name, CODE, health={"timeout": "60s"})
        await act(client, "deploy", str(path), timeout=DEADLINE_S)
        asked = asyncio.create_task(ask(client, name, text))

        async def at_work() -> bool:
            assert not asked.done(), asked.result()
            (one,) = await in_hand(client, name)
            return one.requests is None or bool(one.requests)

        await eventually(at_work, DEADLINE_S)
        with pytest.raises(SparkplugError, match="it did not stop within 5 s") as told_so:
            await act(client, "cancel", name)
        assert f"agents restart {name}" in (told_so.value.hint or "")
        await act(client, "remove", name, now=True)
        with pytest.raises(SparkplugError):
            await asked

    async with asyncio.TaskGroup() as group:
        for text in ("deaf", "block"):
            group.create_task(stuck(text))


async def test_stopping_lets_it_finish_or_not_as_asked(
    node: Node, client: Client, tmp_path: Path
) -> None:
    path = node.write_agent(tmp_path, "drained", CODE, env={"WORK": "600"})
    await act(client, "deploy", str(path))
    asked = await asking(client, "drained", "slow")
    target = await agents.target(client, "drained")
    await act(client, "stop", "drained", drain=600.0, no_wait=True)

    async def stopping() -> bool:
        return await states(client, "drained") == ["stopping"]

    await eventually(stopping, DEADLINE_S)
    with pytest.raises(ConflictError, match="takes no prompts now, it is stopping"):
        await ask(client, "drained", "more")
    with pytest.raises(NoMeshError, match="takes nothing new"):
        await wire.call(client.bus, target, "more", {})
    # It would be given ten minutes; asked again, it is given none.
    await act(client, "stop", "drained", now=True)
    with pytest.raises(SparkplugError, match="stopped"):
        await asked
    assert await states(client, "drained") == ["stopped"]
    node.write_agent(tmp_path, "drained", CODE, env={"WORK": "1"})
    await act(client, "apply", str(path))
    asked = await asking(client, "drained", "slow")
    # Wanted again while it finishes: it ends, and another begins.
    before = (await replicas(client, "drained"))[0].pid
    await act(client, "stop", "drained", drain=60.0, no_wait=True)
    await act(client, "start", "drained", no_wait=True)
    assert await asked == "finished"

    async def anew() -> bool:
        (agent,) = await replicas(client, "drained")
        return agent.state == "idle" and agent.pid != before

    await eventually(anew, DEADLINE_S)


async def test_edit_diff_and_wait_from_scripts(node: Node, client: Client, tmp_path: Path) -> None:
    path = node.write_agent(tmp_path, "plain", CODE)
    await act(client, "deploy", str(path))
    assert (await act(client, "diff", "plain")).exit_code == 0
    text = path.read_text()
    file = tmp_path / "edited.yaml"
    file.write_text(text + "env: {VERSION: edited}\n")
    result = node.cli("agents", "diff", str(file), check=False)
    assert result.returncode == 1
    assert "+  VERSION: edited" in result.stdout
    refused = node.cli("agents", "edit", "plain", "--file", str(file), check=False)
    assert refused.returncode == 4
    assert "+  VERSION: edited" in refused.stderr
    node.cli("agents", "edit", "plain", "--file", str(file), "--yes")
    assert await ask(client, "plain", "x") == "edited"
    file.write_text(text + "concurrency: none\n")
    result = node.cli("agents", "edit", "plain", "--file", str(file), "--yes", check=False)
    assert result.returncode == 2
    assert f"{file}:3:14" in result.stderr
    assert node.cli("agents", "edit", "plain", check=False).returncode == 2  # no terminal
    late = node.cli("wait", "agent/plain", "--for", "gone", "--timeout", "300ms", check=False)
    assert late.returncode == 124
    await act(client, "remove", "plain")
    await wait_for(client, "agent/plain", "gone", DEADLINE_S)
    await act(client, "undo", "plain")
    assert await ask(client, "plain", "x") == "edited"


async def test_a_folder_is_pruned_only_when_it_is_agreed(
    node: Node, client: Client, tmp_path: Path
) -> None:
    folder = tmp_path / "team"
    for name in ("left", "right"):
        node.write_agent(folder, name, CODE, labels={"team": "t"})
    assert (await act(client, "apply", str(folder))).message == "left: created\nright: created"
    (folder / "right.yaml").unlink()
    prune = ("apply", str(folder), "--prune", "-l", "team=t")
    assert node.cli(*prune, "--dry-run").stdout.startswith(
        "left: would be unchanged\nright: would be removed\n"
    )
    assert node.cli(*prune, check=False).returncode == 4
    assert len(await replicas(client, "right")) == 1
    assert node.cli(*prune, "--yes").stdout == "left: unchanged\nright: removed\n"
    await wait_for(client, "agent/right", "gone", DEADLINE_S)
    with pytest.raises(InvalidError, match="label=value"):
        await act(client, "apply", str(folder), prune=True)


def on_terminal(
    node: Node, words: list[str], answers: list[tuple[str, str]], *, ends: int = 0, **env: str
) -> str:
    """Run a verb on a terminal of its own, answering what it asks; all it printed.

    `ends` is the exit code it leaves with.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "sparkplug", *words], {**node.env, **env})
    seen, left, over = "", list(answers), time.monotonic() + DEADLINE_S
    with contextlib.suppress(OSError):
        while time.monotonic() < over:
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096).decode()
            if left and left[0][0] in seen:
                os.write(terminal, left.pop(0)[1].encode())
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == ends, seen
    return seen


def test_the_editor_opens_again_with_what_is_wrong(node: Node, tmp_path: Path) -> None:
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "edited", CODE)))
    seen = tmp_path / "seen"
    # First a value that does not hold; once that is told above the text, one that does.
    script = tmp_path / "editor.sh"
    script.write_text(
        f'#!/bin/sh\ncat "$1" >> {seen}; echo ==== >> {seen}\n'
        'if grep -q "^concurrency: many" "$1"; then sed -i "s/^concurrency: many/concurrency: 3/" '
        '"$1"; else echo "concurrency: many" >> "$1"; fi\n'
    )
    script.chmod(0o755)
    told = on_terminal(
        node,
        ["agents", "edit", "edited", "--reason", "fewer"],
        [("Do it? [y/N]", "y\n")],
        VISUAL=str(script),
    )
    assert "+concurrency: 3" in told
    assert "edited: changed" in told
    opened = seen.read_text().split("====\n")
    head = [line for line in opened[1].splitlines() if line.startswith("#")]
    place = next(line for line in head if "edited.yaml:" in line).split("edited.yaml:")[1]
    row, column = (int(part) for part in place.split(":")[:2])
    assert opened[1].splitlines()[row - 1][column - 1 :] == "many"
    wanted = node.json("agents", "describe", "edited")["desired"]
    assert (wanted["spec"]["concurrency"], wanted["reason"]) == (3, "fewer")
    told = on_terminal(
        node,
        ["agents", "edit", "edited"],
        [("Do it? [y/N]", "n\n")],
        ends=4,
        VISUAL="sed -i /^concurrency/s/3/4/",
    )
    assert json.dumps(node.json("agents", "describe", "edited")["desired"]) == json.dumps(wanted)


async def test_what_was_to_be_removed_under_an_old_epoch_is_removed_under_the_new(
    node: Node, client: Client
) -> None:
    bucket = Bucket(client.bus, subjects.BUCKET_OBSERVED)
    (here,) = await hosts.list_hosts(client)
    gone = ObservedAgent(
        name="gone", replica="3", runtime="python", owner="o", node=here.name, state="idle"
    )
    await bucket.put(agent_key("gone", "3"), gone)
    # Whoever holds the lease learns that it has to take it anew when it next writes.
    await bucket.raise_fence(subjects.node_lease(here.name))

    async def removed() -> bool:
        return not await replicas(client, "gone")

    await eventually(removed, DEADLINE_S)
