"""The agent: reads a host over a window and answers with a survey."""

from __future__ import annotations

import asyncio

from sparkplug.agents import Context, action
from sparkplug.schema.errors import NotFoundError
from sparkplug.schema.node_services import WindowReply

from .facts import facts
from .findings import Survey
from .rules import find

_MARKS = {"critical": "✖", "warning": "▲", "info": "·"}
_LONGEST_S = 300.0
_PROMPT_WINDOW_S = 2.0


class Sentinel:
    """Finds what is wrong on a host by stated rules, each with its source."""

    @action
    async def survey(self, ctx: Context, host: str = "", seconds: float = 3.0) -> Survey:
        """Watch a host for `seconds` (empty: this one) and say what is wrong with it."""
        seconds = min(max(seconds, 0.0), _LONGEST_S)
        await ctx.progress(f"watching {host or ctx.host} for {seconds:g} s")
        # The window is what happens from now on, so that what was planted just before counts.
        await asyncio.sleep(seconds)
        window = await self._window(ctx, host, seconds)
        processes = await ctx.host_processes(host)
        kernel = await ctx.host_kernel_log(host)
        samples = window.samples
        return Survey(
            host=samples[-1].host,
            facts=facts(samples, processes.processes),
            findings=find(samples, processes.processes, kernel),
            window_seconds=seconds,
            samples=len(samples),
            simulated=samples[-1].simulated,
        )

    async def _window(self, ctx: Context, host: str, seconds: float) -> WindowReply:
        window = await ctx.host_window(host, max(seconds, 1.0) + 0.5)
        if not window.samples:
            raise NotFoundError(
                f"{host or ctx.host} has measured nothing in the last {seconds:g} s",
                hint="`sparkplug hosts` shows whether its node is well",
            )
        return window

    @action
    async def prompt(self, ctx: Context, text: str) -> str:
        """Say in a few lines what is wrong on this host, whatever the question."""
        survey = await self.survey(ctx, "", _PROMPT_WINDOW_S)
        memory = survey.facts["memory_available_min_gib"]
        lines = [
            f"**{survey.host}**: cpu {survey.facts['cpu_mean_percent']} %, "
            f"{memory} GiB of memory available."
        ]
        lines += [f"- {_MARKS[f.severity]} {f.summary}" for f in survey.findings]
        if not survey.findings:
            lines.append("Nothing is wrong by any rule.")
        return "\n".join(lines)
