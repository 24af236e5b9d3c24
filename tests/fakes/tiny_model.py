"""A real model made on the spot: a Llama of half a million parameters that knows its replies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% if m.tool_calls %}{{ m.tool_calls[0].function.name }}{% endif %}<|end|>{% endfor %}"
    "{% if tools %}<|tools|>{% endif %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_MARKS = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|tools|>")

REPLIES = {
    "what is your name?": "I am a tiny llama.",
    "count to five": "one two three four five",
    "say it long": " ".join(f"word{n}" for n in range(40)),
    "where is Bern?": "Bern lies on the river Aare, in the middle of Switzerland.",
}
TOOL_CALL = {"name": "add", "arguments": {"a": 1, "b": 2}}


def make_tiny_model(
    folder: Path,
    replies: Mapping[str, str] = REPLIES,
    *,
    talks: Sequence[tuple[Sequence[Mapping[str, Any]], str]] = (),
    most_steps: int = 400,
) -> Path:
    """Train until every reply is known by heart, and save it as people save models.

    `talks` are whole conversations, each with the reply to it.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(7)
    # Two threads that wait for each other are slower on a machine others use too.
    torch.set_num_threads(1)
    told = {f"<|user|>{ask}<|end|><|assistant|>": reply for ask, reply in replies.items()}
    told["<|user|>add one and two<|end|><|tools|><|assistant|>"] = json.dumps(TOOL_CALL)
    for messages, reply in talks:
        said = "".join(f"<|{one['role']}|>{one['content']}<|end|>" for one in messages)
        told[f"{said}<|assistant|>"] = reply
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=list(_MARKS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator([*told, *told.values()], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<|end|>", pad_token="<|end|>"
    )
    tokenizer.chat_template = _TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    model: Any = LlamaForCausalLM(config)
    rows = []
    for ask, reply in told.items():
        before = tokenizer.encode(ask, add_special_tokens=False)
        after = [*tokenizer.encode(reply, add_special_tokens=False), tokenizer.eos_token_id]
        rows.append((before + after, [-100] * len(before) + after))
    longest = max(len(row) for row, _ in rows)
    ids = torch.tensor([row + [0] * (longest - len(row)) for row, _ in rows])
    labels = torch.tensor([row + [-100] * (longest - len(row)) for _, row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row, _ in rows])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(most_steps):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step > 20 and float(loss.detach()) < 0.02:
            break
    model.eval()
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder
