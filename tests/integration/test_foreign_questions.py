"""What an agent that SparkPlug does not run asks back, a person is asked: of ours, of a verb."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

import nats
from synadia_ai.agent_service import AgentService, PromptStream
from synadia_ai.agents import Envelope

from fakes.node import Node, eventually
from sparkplug.client import agents, prompts, questions
from sparkplug.client.session import Client
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.question import Question

_DEADLINE_S = 60.0
_RELAY = "async def handle(ctx, request):\n    return await ctx.ask('codex', request.text)\n"


async def on_prompt(envelope: Envelope, stream: PromptStream) -> None:
    """A foreign agent that cannot do without a word of its caller's."""
    answer = await stream.ask(f"Which branch for {envelope.prompt}?", timeout=_DEADLINE_S)
    await stream.send(f"on {answer.prompt}")


async def target(client: Client, name: str) -> Any:
    async def look() -> Any:
        with contextlib.suppress(SparkplugError):
            return await agents.target(client, name)
        return None

    return await eventually(look, _DEADLINE_S)


async def asked(client: Client) -> Question:
    async def look() -> list[Question]:
        return await questions.list_questions(client)

    found: list[Question] = await eventually(look, _DEADLINE_S)
    return found[0]


async def test_through_an_agent_of_ours_and_through_the_verb(node: Node, tmp_path: Path) -> None:
    url = str(node.run_file("node.json")["url"])
    nc = await nats.connect(url, user_credentials=str(node.paths.keys / "face.creds"))
    service = AgentService(
        agent="codex", owner="ana", session_name="s", nc=nc, heartbeat_interval_s=1
    )
    service.on_prompt(on_prompt)
    await service.start()
    relay = node.write_agent(tmp_path, "relay", _RELAY)
    await asyncio.to_thread(node.cli, "agents", "deploy", str(relay))
    async with node.client() as client:
        await target(client, "codex")
        stream = prompts.prompt(client, await target(client, "relay"), "the fix")
        asking = asyncio.create_task(prompts.answer(stream))
        question = await asked(client)
        assert (question.text, question.subject.agent) == ("Which branch for the fix?", "codex")
        assert question.asked_by == "relay/0"

        async def waits() -> bool:
            found = await agents.list_agents(client)
            return any(one.name == "relay" and one.state == "waiting-human" for one in found)

        await eventually(waits, _DEADLINE_S)
        await questions.answer(client, question.id, "main")
        assert await asking == "on main"

        verb = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sparkplug", "prompt", "codex", "the verb"),
            env=node.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        question = await asked(client)
        await questions.answer(client, question.id, "next")
        out, err = await verb.communicate()
        assert out.decode().strip() == "on next"
        assert "Which branch for the verb?" in err.decode()
    await service.stop()
    await nc.close()
