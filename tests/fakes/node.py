"""A real node in a state directory of its own, driven through the command line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from fakes.kept_cli import kept_cli
from sparkplug.client.session import Client
from sparkplug.config import load_settings
from sparkplug.paths import Paths

_CLI_DEADLINE_S = 90.0

ECHO = """\
async def handle(ctx, request):
    if request.action == "boom":
        raise RuntimeError("boom")
    if request.action == "relay":
        return await ctx.ask(request.input["to"], request.text or "hello")
    return f"echo: {request.text}"
"""


class Node:
    """One state directory; `up` starts its node, `close` ends everything and checks it."""

    def __init__(self, home: Path, environ: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.paths = Paths(home)
        #: What every verb is run under, like a network namespace.
        self.prefix: tuple[str, ...] = ()
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SPARKPLUG_")},
            "SPARKPLUG_HOME": str(home),
            **(environ or {}),
        }

    def cli(
        self, *words: str, check: bool = True, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end; `check` fails the test on a non-zero exit."""
        if self.command() == [sys.executable]:
            result = kept_cli().run(words, self.env, stdin or "", _CLI_DEADLINE_S)
        else:
            result = subprocess.run(
                self.command("-m", "sparkplug", *words),
                env=self.env,
                input=stdin or "",
                capture_output=True,
                text=True,
                timeout=_CLI_DEADLINE_S,
                check=False,
            )
        if check:
            assert result.returncode == 0, f"{words}: {result.stdout}\n{result.stderr}"
        return result

    def command(self, *words: str) -> list[str]:
        """The command that runs Python on this node's host."""
        return [*self.prefix, sys.executable, *words]

    def json(self, *words: str) -> Any:
        """Run a listing verb and parse its `--json`."""
        return json.loads(self.cli(*words, "--json").stdout)

    def remember(self, text: str, *options: str) -> str:
        """Have a memory kept, and its id; a busy host's memory may still come up by then."""
        made = self.json("memory", "add", text, *options)
        if made["id"] is None:
            assert made["state"] == "waiting", made
            assert wait_until(lambda: self._memories(text))
            (made,) = self._memories(text)
        return str(made["id"])

    def _memories(self, text: str) -> list[dict[str, Any]]:
        listed = self.cli("memory", "list", "--json", check=False)
        if listed.returncode:
            return []
        return [one for one in json.loads(listed.stdout) if one["text"] == text]

    def up(self) -> None:
        """Start the node."""
        self.cli("up")

    def clear(self) -> None:
        """Up, and without agents: like a fresh node but for what its history tells."""
        if self.run_file("node.json").get("state") != "ready":
            self.up()
        names = self.cli("agents", "list", "-o", "name").stdout.split()
        if names:
            self.cli("agents", "remove", *names, "--yes")
            assert wait_until(lambda: self.json("agents", "list") == [])

    def run_file(self, name: str) -> dict[str, Any]:
        """One of the files of the run directory; empty when it is not there."""
        try:
            data: dict[str, Any] = json.loads((self.paths.run / name).read_text())
        except (OSError, ValueError):
            return {}
        return data

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client of this node's mesh."""
        settings = load_settings(environ=self.env)
        async with await Client.connect(url=None, paths=self.paths, settings=settings) as client:
            yield client

    def write_agent(self, folder: Path, name: str, code: str = ECHO, **spec: Any) -> Path:
        """An agent file and its module in `folder`."""
        module = name.replace("-", "_") + "_module"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{module}.py").write_text(code)
        lines = [f"name: {name}", f"entrypoint: {module}:handle"]
        lines += [f"{key}: {json.dumps(value)}" for key, value in spec.items()]
        path = folder / f"{name}.yaml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def processes(self) -> list[psutil.Process]:
        """Every process that belongs to this state directory: by argument or environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if str(self.home) in " ".join(process.cmdline()) or process.environ().get(
                    "SPARKPLUG_HOME"
                ) == str(self.home):
                    found.append(process)
        return found

    def agent_pids(self) -> dict[str, int]:
        """The pid of each replica that runs, as name/replica."""
        return {
            f"{row['name']}/{row['replica']}": row["pid"]
            for row in self.json("agents", "list")
            if row["pid"]
        }

    def close(self) -> None:
        """Take the node down and check that nothing of it is left."""
        agents = [
            json.loads(path.read_text())["pid"]
            for path in (self.paths.run / "agents").glob("*.json")
        ]
        self.cli("down", check=False)
        left = wait_until(lambda: not self.processes() and not any(map(_alive, agents)))
        survivors = [(p.pid, p.cmdline()) for p in self.processes()]
        for process in self.processes():
            process.kill()
        for pid in filter(_alive, agents):
            os.kill(pid, signal.SIGKILL)
        assert left, f"down left processes behind: {survivors} agents {agents}"


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def wait_until(condition: Callable[[], object], deadline: float = 60.0) -> bool:
    """Ask again until it holds; False after `deadline` seconds."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


async def eventually(condition: Callable[[], Any], deadline: float = 60.0) -> Any:
    """Await until an (async) condition gives something true, and return it."""
    async with asyncio.timeout(deadline):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)
