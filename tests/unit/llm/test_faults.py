"""Faults in a fifth of all calls, a ledger that equals the server's own counts, and no key told."""

from __future__ import annotations

import asyncio
import logging
import random
import traceback
from collections import Counter
from typing import Any

import pytest

from fakes.models import Kept, model_at
from fakes.openai_server import Reply, openai_server
from sparkplug.llm.errors import NoModelError
from sparkplug.llm.port import Tool

ADD = Tool(
    "add",
    "adds",
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
)
RIGHT = Reply(calls=[("add", '{"a": 1}')])
FAULTS = (
    Reply(status=429, raw=b"{}", headers=["Retry-After: 0.02"]),
    Reply(status=500, raw=b"{}"),
    Reply(["th"], hang=True),
    Reply(["half ", "a "], cut=True),
    Reply(calls=[("add", '{"a": ')]),
    Reply(calls=[("subtract", '{"a": 1}')]),
)


async def test_with_a_fifth_of_faults_nearly_all_calls_end_right_and_are_counted() -> None:
    rng = random.Random(5)
    kept, given = Kept(), Counter[int]()

    def script(_: dict[str, Any]) -> Reply:
        if rng.random() >= 0.2:
            return RIGHT
        place = rng.randrange(len(FAULTS))
        given[place] += 1
        return FAULTS[place]

    async with openai_server() as server:
        server.script = script
        model = model_at(
            server.endpoint, "m", sink=kept, first_token_timeout=5, token_timeout=0.5, timeout=30
        )
        limit = asyncio.Semaphore(16)

        async def one(number: int) -> bool:
            async with limit:
                try:
                    answer = await model.answer(f"call number {number}", tools=[ADD])
                except NoModelError as error:
                    assert type(error) is not NoModelError
                    return False
                return answer.calls[0].arguments == {"a": 1}

        right = await asyncio.gather(*(one(number) for number in range(150)))
        # What was cut on both sides at once is still being noticed by the server.
        assert set(given) == set(range(len(FAULTS)))
        assert sum(right) >= 0.95 * len(right)
        assert len(kept.records) == len(server.requests)
        assert sum(r.tokens_in for r in kept.records) == server.tokens_in
        assert sum(r.tokens_out for r in kept.records) == server.tokens_out
    assert not any(r.tokens_estimated for r in kept.records)


async def test_a_call_ends_by_its_deadline_whatever_the_server_does() -> None:
    loop = asyncio.get_running_loop()
    async with openai_server(Reply(hang=True)) as server:
        model = model_at(server.endpoint, "m", first_token_timeout=0.2, timeout=1.0)
        began = loop.time()
        with pytest.raises(NoModelError) as caught:
            await model.answer("hi")
        assert caught.value.code == "model_timeout"
        assert loop.time() - began < 20  # on a machine that does much else


async def test_a_key_is_in_no_log_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = "sk-a-very-secret-key"
    echo = b'{"error": {"message": "what is ' + key.encode() + b'?"}}'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOME_KEY", key)
        for status in (400, 401, 500):
            async with openai_server(Reply(status=status, raw=echo)) as server:
                section = {"endpoint": server.endpoint, "model": "m", "api_key_env": "SOME_KEY"}
                with pytest.raises(NoModelError) as caught:
                    await model_at(models={"a": section}, retries=0).answer("hi")
                assert server.keys == {key}
            assert key not in str(caught.value)
            assert key not in "".join(traceback.format_exception(caught.value))
    assert key not in caplog.text


async def test_a_file_with_a_key_has_to_be_its_owners_alone(tmp_path: Any) -> None:
    file = tmp_path / "key"
    file.write_text("sk-from-a-file\n")
    async with openai_server(Reply.text("ok")) as server:
        section = {"endpoint": server.endpoint, "model": "m", "api_key_file": str(file)}
        file.chmod(0o644)
        with pytest.raises(NoModelError, match="others can read"):
            await model_at(models={"a": section}).answer("hi")
        file.chmod(0o600)
        assert (await model_at(models={"a": section}).answer("hi")).text == "ok"
        assert server.keys == {"sk-from-a-file"}
        section["api_key_file"] = str(tmp_path / "none")
        with pytest.raises(NoModelError, match="cannot be read"):
            await model_at(models={"a": section}).answer("hi")
