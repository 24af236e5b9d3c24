"""Scribe, its real graph: by a model on a local server, and from its template."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fakes.models import model_at
from fakes.openai_server import Reply, openai_server
from fakes.shipped import ask_graph, shipped_module, survey
from sparkplug.llm.chat import ChatModel

BY_MODEL = """\
# Host brief: gpu-1

gpu-1 needs attention: memory is short.

## Findings

**critical** `memory.available` (memory): 0.3 GiB of 8.0 GiB are available, 3.8 %.

**warning** `disk.space` (/): / is 91.3 % full, 8.7 GiB left.
"""


async def write(model: ChatModel | None = None, **changes: Any) -> dict[str, Any]:
    answer, _ = await ask_graph(
        "scribe", action="write", input={"survey": survey(**changes)}, model=model
    )
    assert isinstance(answer, dict)
    return answer


async def test_the_template_has_everything_the_survey_says() -> None:
    answer = await write()
    text = answer["text"]
    assert answer["written_by"] == "template"
    assert text.startswith("# Host brief: gpu-1\n")
    assert "**gpu-1 needs attention now** (1 critical, 1 warning)." in text
    assert text.index("`memory.available`") < text.index("`disk.space`")
    assert "Figures: available 0.3 GiB, total 8 GiB, available 3.8 %" in text
    assert "Source: earlyoom(1): kills below 5 %" in text
    assert "| memory available | 307.2 MiB |" in text
    assert "| uptime | 2.1 days |" in text
    assert "| disks /mnt/d2 used | 11 % |" in text
    assert "There is no NVIDIA driver on this host." in text
    assert text.rstrip().endswith("Written from a template; no model is configured.")


async def test_a_healthy_host_is_called_well_and_simulated_figures_are_marked() -> None:
    facts = survey()["facts"] | {
        "driver": {"state": "ok"},
        "gpus": [
            {
                "index": 0,
                "name": "NVIDIA H100 80GB HBM3",
                "power_watts": 412.35,
                "temperature_celsius": 61,
                "sm_clock_mhz": 1980,
                "memory": {"used_bytes": 62 << 30, "total_bytes": 80 << 30},
                "fan_percent": None,
            }
        ],
    }
    text = (await write(findings=[], simulated=True, facts=facts))["text"]
    assert "**gpu-1 is well.**" in text
    assert "**SIMULATED**" in text
    assert "**GPU 0: NVIDIA H100 80GB HBM3**" in text
    assert "| power | 412.4 W |" in text
    assert "| sm clock | 1980 MHz |" in text
    assert "| memory used | 62.0 GiB |" in text
    assert "| fan |" not in text


@pytest.mark.parametrize("split", [False, True])
async def test_a_model_that_answers_writes_the_brief(split: bool) -> None:
    reply = Reply.text(BY_MODEL)
    async with openai_server(Reply(reply.pieces, split=split)) as server:
        answer = await write(model_at(server.endpoint, "tiny"))
    assert answer["written_by"] == "model tiny"
    assert answer["text"].startswith(BY_MODEL.rstrip())
    assert "Written by a model (tiny)" in answer["text"].splitlines()[-1]
    (request,) = server.requests
    assert request["path"] == "/v1/chat/completions"
    told = request["messages"][-1]["content"]
    assert "memory available: 307.2 MiB" in told
    assert "`disk.space`" in told


async def test_a_fence_around_the_answer_is_taken_off() -> None:
    async with openai_server(Reply.text(f"```markdown\n{BY_MODEL}```")) as server:
        answer = await write(model_at(server.endpoint))
    assert answer["text"].startswith("# Host brief: gpu-1")
    assert answer["written_by"] == "model scripted"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(status=429, raw=b'{"error": "slow down"}'), "429"),
        (Reply(status=500, raw=b""), "500"),
        (Reply(raw=b"data: {not json\n\n"), "malformed"),
        (Reply(raw=b'data: {"choices": 3}\n\n'), "malformed"),
        (Reply(), "answered nothing"),
        (Reply.text("I cannot do that."), "no brief"),
        (Reply.text(BY_MODEL.replace("disk.space", "disk")), "leaves out disk.space"),
        (Reply.text(BY_MODEL.replace("gpu-1", "gpu-2")), "does not name the host"),
        (Reply(["# Host"], hang=True), "stopped in the middle"),
    ],
)
async def test_a_model_that_fails_is_replaced_by_the_template_which_says_so(
    reply: Reply, why: str
) -> None:
    async with openai_server(reply) as server:
        silent_after = 0.3 if reply.hang else 30.0
        answer = await write(
            model_at(server.endpoint, "tiny", retries=0, token_timeout=silent_after)
        )
    assert answer["written_by"] == "template"
    assert answer["text"].startswith("# Host brief: gpu-1\n")
    last = answer["text"].rstrip().splitlines()[-1]
    assert last.startswith("Written from a template: ")
    assert why in last


async def test_an_endpoint_that_is_not_there_is_no_failure() -> None:
    async with openai_server(Reply()) as server:
        gone = model_at(server.endpoint, "tiny")
    answer = await write(gone)
    assert answer["written_by"] == "template"
    assert "does not answer" in answer["text"]


async def test_revise_tells_the_model_what_was_wrong() -> None:
    async with openai_server(Reply.text(BY_MODEL)) as server:
        answer, _ = await ask_graph(
            "scribe",
            action="revise",
            input={
                "survey": survey(),
                "previous": "# Host brief: gpu-1\n\n9.9 GiB",
                "problems": ["the figure 9.9 GiB is not what was measured"],
            },
            model=model_at(server.endpoint, "tiny"),
        )
    told = server.requests[0]["messages"][-1]["content"]
    assert "the figure 9.9 GiB is not what was measured" in told
    assert "# Host brief: gpu-1\n\n9.9 GiB" in told
    assert answer["written_by"] == "model tiny"


async def test_a_survey_given_as_a_prompt_is_written_about_as_text() -> None:
    answer, statuses = await ask_graph("scribe", text=json.dumps(survey()))
    assert isinstance(answer, str)
    assert answer.startswith("# Host brief: gpu-1\n")
    assert statuses == ["gather", "by_template"]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("memory_used_bytes", 0, "0 B"),
        ("memory_used_bytes", 1536, "1.5 KiB"),
        ("memory_used_bytes", 5 << 40, "5.0 TiB"),
        ("network_bytes_per_second", 3 << 20, "3.0 MiB/s"),
        ("swap_mib_per_second", 1.25, "1.2 MiB/s"),
        ("cpu_percent", 0.04, "0.04 %"),
        ("cpu_percent", 99.96, "100.0 %"),
        ("uptime_seconds", 7300, "2.0 h"),
        ("window_seconds", 3.0, "3 s"),
        ("latency_ms", 1.5, "1.5 ms"),
        ("processes", 212, "212"),
        ("readable", True, "yes"),
        ("state", "ok", "ok"),
    ],
)
def test_quantities_are_written_with_their_unit(name: str, value: Any, text: str) -> None:
    assert shipped_module("scribe.quantities").quantity(name, value) == text
