"""Agents: what each takes, what helps one that failed, types and capabilities, foreign ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from tui_centre import Centre, centre
from tui_mesh import Mesh

from sparkplug.client.prompts import PromptChunk
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import CancelledRequestError
from sparkplug.schema.usage import AgentUsage
from sparkplug.tui.dialogs.agent_why import AgentWhy
from sparkplug.tui.dialogs.answer import Answer
from sparkplug.tui.dialogs.logs import Logs

MIB = 1 << 20


def taking(agent: str = "critic", **changes: Any) -> AgentUsage:
    """An agent at work."""
    fields: dict[str, Any] = {
        "agent": agent,
        "replica": "0",
        "pid": 7,
        "cpu_percent": 37.4,
        "rss_bytes": 240 * MIB,
        "pss_bytes": 61 * MIB,
        "latency_p50_ms": 12.0,
        "latency_p95_ms": 340.0,
    }
    return AgentUsage(**{**fields, **changes})


async def told(seen: Centre, mesh: Mesh, *words: str, **changes: Any) -> None:
    """Publish usage until it is seen: what is published before one listens is lost."""

    async def shown() -> bool:
        await mesh.usage(taking(**changes))
        return all(word in seen.screen for word in words)

    try:
        await seen.becomes(shown)
    except TimeoutError:
        raise AssertionError(f"{words} not in:\n{seen.screen}") from None


async def test_what_agents_take_is_seen_with_how_it_went(mesh: Mesh) -> None:
    mesh.percents = [0.0, 50.0, 100.0]
    await mesh.agent("critic", inflight=3, served=9, failed=1)
    async with centre((160, 40), pane="agents") as seen:
        await told(seen, mesh, "37%", "61M", "340ms", "12ms", "msg/s")
        await seen.shows("cpu 37%", "of 240M", "3 in flight", "9 served, 1 failed", "▁▅█")
        await told(seen, mesh, "12G", cpu_percent=2.0, gpu_memory_bytes=12 << 30)

        def row() -> str:
            lines = seen.screen.splitlines()
            return next(line for line in lines if "critic" in line and "idle" in line)

        await seen.until(lambda: " 2% " in row() and "12G" in row())


async def test_ages_of_what_is_described_go_on_while_nothing_is_new(mesh: Mesh) -> None:
    await mesh.agent("critic", state_since=utc_now())
    async with centre((120, 36), pane="agents") as seen:
        for key, begin in (("d", "○ idle for "), ("w", "○ idle for ")):
            await seen.press(key)
            await seen.shows(begin)
            first = next(line for line in seen.screen.splitlines() if begin in line)
            await seen.until(lambda first=first: first not in seen.screen)
            await seen.shows(begin)
            await seen.press("escape")


async def test_usage_is_followed_only_while_it_is_seen(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((160, 40), pane="agents") as seen:
        live = seen.app.store._live
        assert live is not None
        await seen.until(lambda: live._usage_wanted == 1)
        await seen.press("1")
        await seen.until(lambda: live._usage_wanted == 0)
        await seen.press("3")
        await seen.until(lambda: live._usage_wanted == 1)
        # Too low for the box below, too narrow for a column of it: nothing of it is seen.
        await seen.pilot.resize_terminal(46, 12)
        await seen.until(lambda: not seen.app.pane._rows.columns_in_sight & {"cpu", "memory"})
        await seen.until(lambda: live._usage_wanted == 0)


async def test_what_helps_is_told_with_its_key_and_done(mesh: Mesh) -> None:
    await mesh.agent("critic", "error", reason="it crashed five times")
    mesh.logs["critic"] = "the last words\n"
    async with centre((110, 30), pane="agents") as seen:
        await seen.shows("S start it again", "l read its log", "p read the log", "e edit its spec")
        await seen.shows("^d remove it", "it crashed five times")
        await seen.press("w")
        await seen.until(lambda: isinstance(seen.app.screen, AgentWhy))
        await seen.shows("S start it again", "reason", "it crashed five times")
        await seen.press("l")
        await seen.until(lambda: isinstance(seen.app.screen, Logs))
        await seen.shows("the last words")
        await seen.press("escape")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)
        before = (await mesh.desired("critic")).generation
        await seen.press("w")
        await seen.until(lambda: isinstance(seen.app.screen, AgentWhy))
        await seen.press("S")

        async def started() -> bool:
            return (await mesh.desired("critic")).generation > before

        await seen.becomes(started)


async def test_nothing_helps_what_is_well_or_not_ours(mesh: Mesh) -> None:
    await mesh.agent("critic")
    await mesh.agent("claude", "error", foreign=True, owner="ana", sdk="claude-code")
    async with centre((110, 30), pane="agents") as seen:
        await seen.shows("critic", "claude (foreign)")
        assert "start it again" not in seen.screen
        await seen.press("G")
        await seen.shows("claude/0", "foreign: it can be prompted", "claude-code")
        assert "start it again" not in seen.screen
        await seen.press("e")
        await seen.shows("can be prompted, not managed")


async def test_types_and_capabilities_are_filtered_by(mesh: Mesh) -> None:
    await mesh.agent("critic", type="reviewer", capabilities=["check", "review"])
    await mesh.agent("scribe", type="writer", capabilities=["write"])
    async with centre((160, 40), pane="agents") as seen:
        await seen.shows("reviewer", "a reviewer · can check, review")
        for wanted, shown, hidden in (
            ("type:writer", "scribe", "critic"),
            ("can:review", "critic", "scribe"),
        ):
            await seen.press("slash")
            seen.app._line.input.value = wanted
            await seen.press("enter")
            rows = seen.app.pane.main
            await seen.until(lambda r=rows: r.shown == 1)
            assert rows.at(0).value.name == shown != hidden
            await seen.press("escape")
            await seen.until(lambda r=rows: r.shown == 2)


async def test_a_host_that_takes_nothing_new_is_marked(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((110, 30), pane="agents") as seen:
        await seen.shows("gpu-1")
        assert "⊘" not in seen.screen
        await mesh.order("gpu-1", cordoned=True)
        await seen.shows("⊘ gpu-1")
        await mesh.order("gpu-1", cordoned=True, draining=True)
        await seen.shows("◐ gpu-1")
        await seen.press("slash")
        seen.app._line.input.value = "host:gpu-1"
        await seen.press("enter")
        await seen.until(lambda: seen.app.pane.main.shown == 1)
        await mesh.order("gpu-1")
        await seen.until(lambda: "◐" not in seen.screen and "gpu-1" in seen.screen)


async def test_an_answer_that_still_comes_is_cancelled_and_leaving_it_cancels_nothing(
    mesh: Mesh,
) -> None:
    cancelled = asyncio.Event()

    async def chunks() -> AsyncGenerator[PromptChunk, None]:
        yield PromptChunk("text", "so far")
        await cancelled.wait()
        raise CancelledRequestError("cancelled by root")

    async def cancel() -> str:
        cancelled.set()
        return "a/0: cancelled"

    await mesh.agent("critic")
    async with centre((100, 30), pane="agents") as seen:
        await seen.app.push_screen(Answer("a/0 answers", "> hi", chunks(), cancel))
        await seen.shows("so far", "C cancels it")
        await seen.press("escape")
        await seen.until(lambda: not isinstance(seen.app.screen, Answer))
        assert not cancelled.is_set()
        await seen.app.push_screen(Answer("a/0 answers", "> hi", chunks(), cancel))
        await seen.shows("so far")
        await seen.press("C")
        await seen.shows("cancelled by root")
