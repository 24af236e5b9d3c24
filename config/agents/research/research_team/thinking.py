"""One question to the model, and what it took."""

from __future__ import annotations

from sparkplug.agents import Context

from .result import Tokens


async def think(ctx: Context, system: str, prompt: str) -> tuple[str, Tokens]:
    """The model's answer. Raises NoModelError when none answers."""
    answer = await ctx.llm.answer(prompt, system=system)
    used = answer.usage
    return answer.text.strip(), Tokens(calls=1, input=used.tokens_in, output=used.tokens_out)
