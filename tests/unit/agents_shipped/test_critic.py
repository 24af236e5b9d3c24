"""Critic, its real graph: what it finds wrong, and how it has scribe correct it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.mesh import AgentFailureError, Asked, HostedAgents
from fakes.mesh_server import started
from fakes.shipped import ask_graph, shipped_module, survey
from sparkplug.bus.connection import Bus


async def brief(**changes: Any) -> str:
    answer, _ = await ask_graph("scribe", action="write", input={"survey": survey(**changes)})
    return str(answer["text"])


def problems(text: str, **changes: Any) -> list[str]:
    found: list[str] = shipped_module("critic.review").review(text, survey(**changes)).problems
    return found


async def check(text: str, bus: Bus | None = None) -> dict[str, Any]:
    answer, _ = await ask_graph(
        "critic", action="check", input={"brief": text, "survey": survey()}, bus=bus
    )
    assert isinstance(answer, dict)
    return answer


@pytest.fixture
async def agents(tmp_path: Path) -> AsyncIterator[HostedAgents]:
    async with started(tmp_path) as mesh:
        hosted = HostedAgents(await mesh.connect("agents"))
        await hosted.resolve()
        yield hosted
        await hosted.close()


async def test_a_true_brief_is_approved_as_it_is() -> None:
    text = await brief()
    answer = await check(text)
    assert answer["problems"] == []
    assert answer["approved"] is True
    assert answer["rounds"] == 0
    assert answer["checked"] > 15
    assert answer["text"].startswith(text.rstrip())
    assert f"all {answer['checked']} figures agree" in answer["text"]


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("| cpu | 12.3 % |", "| cpu | 12.4 % |"),
        ("| cpu | 12.3 % |", "| cpu | 91.3 % |"),  # a true figure, of something else
        ("| cores | 2 |", "| cores | 4 |"),
        ("| memory available | 307.2 MiB |", "| memory available | 307.2 GiB |"),
        ("| disks /mnt/d2 used | 11 % |", "| disks /mnt/d2 used | 91.3 % |"),
        ("8.7 GiB left", "87 GiB left"),
        ("measured over 3 s", "measured over 30 s"),
        ("(1 critical, 1 warning)", "(3 critical, 1 warning)"),
    ],
)
async def test_a_wrong_figure_is_found(true: str, false: str) -> None:
    text = await brief()
    assert true in text
    assert problems(text) == []
    assert len(problems(text.replace(true, false))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "memory: 307 MiB available, 0.3 GiB, 0.300 GiB, 322.1 MB, 322,122,547 bytes",
        "up 2.1 days, 50.8 hours, 183000 s; cpu 12 %, 12.3%, 12.34 percent",
        "written 2026-01-05 at 10:42:07, see https://example.org/a/99 and version 1.22.3",
        "1. first of all\n2) the 3rd thing",
        "source: earlyoom(1): kills below 5 %; host gpu-1, /mnt/d2",
        "| memory available | 322.1 | MB |",
        "load1 is 0.5",
    ],
)
def test_true_figures_in_other_units_and_what_is_no_figure_pass(text: str) -> None:
    assert problems(text, findings=[survey()["findings"][1] | {"severity": "info"}]) == []


@pytest.mark.parametrize(
    "text",
    ["0.4 GiB", "300 MiB", "322.2 MB", "2.2 days", "13 %", "17 watts", "12.3 GiB", "gpu-12 has 7"],
)
def test_figures_nobody_measured_do_not(text: str) -> None:
    assert problems(text, findings=[]) == [f"the figure {found(text)} is not what was measured"]


def found(text: str) -> str:
    return text if not text.startswith("gpu") else "7"


async def test_a_finding_left_out_is_found() -> None:
    text = await brief()
    assert problems(text.replace("`disk.space` (/)", "the disk")) == [
        "the warning finding disk.space (/) is not named"
    ]


async def test_scribe_corrects_and_the_correction_is_checked(agents: HostedAgents) -> None:
    good = await brief()

    async def scribe(asked: Asked) -> Any:
        return {"text": good}

    await agents.host("scribe", scribe)
    answer = await check(good.replace("12.3 %", "21.3 %"), agents.bus)
    assert answer["approved"] is True
    assert answer["rounds"] == 1
    assert "after one correction" in answer["text"]
    ((_, asked),) = agents.asked
    assert asked.action == "revise"
    assert asked.input["problems"] == ["the figure 21.3 % (cpu) is not what was measured"]
    assert "21.3 %" in asked.input["previous"]
    assert asked.input["survey"] == survey()


async def test_after_two_rounds_what_is_wrong_is_said_plainly(agents: HostedAgents) -> None:
    bad = (await brief()).replace("12.3 %", "21.3 %")

    async def scribe(asked: Asked) -> Any:
        return {"text": bad}

    await agents.host("scribe", scribe)
    answer = await check(bad, agents.bus)
    assert answer["approved"] is False
    assert answer["rounds"] == 2
    assert len(agents.asked) == 2
    assert answer["text"].rstrip().endswith("the figure 21.3 % (cpu) is not what was measured")


async def test_a_scribe_that_fails_is_not_asked_again(agents: HostedAgents) -> None:
    async def scribe(asked: Asked) -> Any:
        raise AgentFailureError(500, "out of ink")

    await agents.host("scribe", scribe)
    answer = await check((await brief()).replace("12.3 %", "21.3 %"), agents.bus)
    assert answer["approved"] is False
    assert len(agents.asked) == 1
    assert "out of ink" in answer["problems"][-1]


async def test_a_prompt_is_a_brief_and_sentinel_is_asked(agents: HostedAgents) -> None:
    async def sentinel(asked: Asked) -> Any:
        assert asked.action == "survey"
        return survey()

    await agents.host("sentinel", sentinel)
    answer, statuses = await ask_graph("critic", text=await brief(), bus=agents.bus)
    assert isinstance(answer, str)
    assert "figures agree with the telemetry" in answer
    assert statuses == ["gather", "check", "conclude"]
    written, _ = await ask_graph("scribe", text="How is the host?", bus=agents.bus)
    assert written.startswith("# Host brief: gpu-1\n")
