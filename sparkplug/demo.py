"""The demo mesh: a throw-away node with real agents on this host, gone when one leaves.

With a terminal the control centre opens on it; without one the plan `host-brief` is run and
its brief printed. `--scenario` puts scripted GPUs under the node, marked SIMULATED on every
screen.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from sparkplug.client import agents, local, runs
from sparkplug.client.plan_files import check_inputs, find_plan
from sparkplug.client.readiness import wait_ready
from sparkplug.client.session import Client
from sparkplug.config import load_settings
from sparkplug.paths import Paths
from sparkplug.schema.documents import load_agents
from sparkplug.schema.errors import InvalidError, NotFoundError, SparkplugError
from sparkplug.schema.run import RUN_ENDED, RunState, RunView, StepState
from sparkplug.shipped import shipped

PLAN = "host-brief"
_READY_DEADLINE_S = 60.0
_RUN_DEADLINE_S = 300.0
_MARKS = {StepState.DONE: "✔", StepState.FAILED: "✖", StepState.SKIPPED: "–"}


def main(arguments: argparse.Namespace) -> int:
    """Run the demo and return the exit code; whatever happens, nothing of it is left."""
    scenario = _scenario(arguments.scenario) if arguments.scenario else None
    home = Path(tempfile.mkdtemp(prefix="sparkplug-demo-"))
    cache = load_settings().paths.cache
    os.environ["SPARKPLUG_HOME"] = str(home)
    # A mesh of its own: nothing in the caller's environment may point it at another.
    for name in ("SPARKPLUG_URL", "SPARKPLUG_NATS_URL", "SPARKPLUG_NATS_CREDS"):
        os.environ.pop(name, None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    paths = Paths(home)
    try:
        if scenario is not None:
            os.environ.update(_scripted_gpus(scenario, cache))
        asyncio.run(_begin(paths))
        # As the control centre asks, which draws to stderr.
        if all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
            from sparkplug.tui.main import main as open_centre

            signal.signal(signal.SIGHUP, partial(_hung_up, paths))
            return open_centre(
                theme=getattr(arguments, "theme", None),
                pane=getattr(arguments, "pane", None),
                readonly=getattr(arguments, "readonly", False),
            )
        return asyncio.run(_print_brief(paths, as_json=getattr(arguments, "json", False)))
    finally:
        _say("taking the demo mesh down")
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        _take_down(paths)


def scenarios() -> dict[str, Path]:
    """The scripted GPU scenarios that are shipped, by name."""
    folder = shipped("config") / "scenarios"
    return {path.stem: path for path in sorted(folder.glob("*.scenario"))}


def _scenario(name: str) -> Path:
    """The file of a scenario. Raises NotFoundError."""
    known = scenarios()
    if name not in known:
        raise NotFoundError(f"there is no scenario {name}", hint=f"there are: {', '.join(known)}")
    return known[name]


def _scripted_gpus(scenario: Path, cache: Path) -> dict[str, str]:
    """The environment that puts a scenario's GPUs under the node."""
    from sparkplug.telemetry.gpu.fake.environment import fake_nvml_environment

    return fake_nvml_environment(scenario, cache)


async def _begin(paths: Paths) -> None:
    """Start the node and deploy the agents; in sight of a terminal a run begins by itself."""
    _say("starting a demo mesh of its own")
    # The node ends with this process, even when this process is killed.
    await local.up(paths, until=os.getpid())
    async with await _client(paths) as client:
        for path, spec in load_agents(shipped("config") / "agents"):
            await agents.deploy(client, spec, path.parent)
        if sys.stdout.isatty():
            await _submit_soon(client)


async def _client(paths: Paths) -> Client:
    return await Client.connect(url=None, paths=paths, settings=load_settings(), name="demo")


async def _submit(client: Client) -> str:
    plan = await asyncio.to_thread(find_plan, PLAN)
    return await runs.submit(client, plan, check_inputs(plan, {}))


async def _submit_soon(client: Client) -> None:
    """Submit once whoever checks the plan has heard of the agents, which takes a moment."""
    async with asyncio.timeout(_READY_DEADLINE_S):
        while True:
            try:
                await _submit(client)
                return
            except InvalidError as error:
                if "no agent" not in str(error):
                    raise
            await asyncio.sleep(0.1)


async def _print_brief(paths: Paths, *, as_json: bool) -> int:
    """Run the plan, say each step on stderr, print the brief on stdout."""
    async with await _client(paths) as client:
        names = [spec.name for _, spec in load_agents(shipped("config") / "agents")]
        await wait_ready(client, names, _READY_DEADLINE_S)
        run = await _submit(client)
        async with asyncio.timeout(_RUN_DEADLINE_S):
            view = await _follow(client, run)
    if view.state is not RunState.DONE:
        raise SparkplugError(view.error or f"the run is {view.state}", where=f"run {run}")
    print(view.model_dump_json(indent=2) if as_json else _text(view.output))
    return 0


async def _follow(client: Client, run: str) -> RunView:
    told: dict[str, StepState] = {}
    async for view in runs.watch(client, run):
        for step in view.steps:
            if step.state in _MARKS and told.get(step.id) is not step.state:
                told[step.id] = step.state
                _say(f"{_MARKS[step.state]} {step.id} by {step.agent or 'nobody'}")
        if view.state in RUN_ENDED:
            return view
    return await runs.describe(client, run)


def _text(output: Any) -> str:
    return output if isinstance(output, str) else str(output)


def _take_down(paths: Paths) -> None:
    asyncio.run(local.down(paths))
    shutil.rmtree(paths.home, ignore_errors=True)


def _hung_up(paths: Paths, number: int, _frame: FrameType | None) -> None:
    """The terminal was closed: what draws to it may wait for it for ever, so that is left."""

    def leave() -> None:
        try:
            _take_down(paths)
        finally:
            os._exit(128 + number)

    threading.Thread(target=leave, name="hung-up").start()


def _say(text: str) -> None:
    # Where the terminal was closed there is nobody to tell, and still something to take down.
    with contextlib.suppress(OSError):
        print(f"sparkplug demo: {text}", file=sys.stderr, flush=True)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave by way of the clean-up."""
    sys.exit(128 + number)
