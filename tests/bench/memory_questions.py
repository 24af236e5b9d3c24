"""Questions with known answers, built offline from Python's own documentation strings.

Every function, method and class of the standard library whose docstring has a first sentence and
more after it is one memory: its name without the module's path and the docstring without that
sentence. The sentence, which says in a person's words what the thing does, is the question. What is
asked of a memory is never in it.

All memories are looked among. The questions are in two halves, by the file they are from: what
ranking weighs was chosen on the one, and what is reported is of the other.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import random
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LEFT_OUT = re.compile(
    r"(?:^|/)(?:test|tests|idlelib|lib2to3|turtledemo|site-packages|pydoc_data)/"
)
_SENTENCE = re.compile(r"^(.{25,300}?[.!?])(?:\s|$)(.+)", re.DOTALL)
_LEAST, _MOST = 80, 2_000
_SEED = 20_240_607


@dataclass(frozen=True)
class Question:
    """A question and the text that answers it."""

    text: str
    answer: str


def questions(count: int = 0, *, held_out: bool = True) -> tuple[list[Question], list[str]]:
    """Questions of one half, in an order of a fixed seed, and all memories.

    `count` is at most how many (0: all).
    """
    found: dict[str, tuple[Question, bool]] = {}
    for file, question in _all():
        found.setdefault(question.answer, (question, _is_held_out(file)))
    asked = sorted((q for q, held in found.values() if held is held_out), key=lambda q: q.answer)
    random.Random(_SEED).shuffle(asked)
    return asked[: count or len(asked)], sorted(found)


def _is_held_out(file: str) -> bool:
    return int(hashlib.sha256(file.encode()).hexdigest(), 16) % 2 == 1


def _all() -> Iterator[tuple[str, Question]]:
    root = Path(sysconfig.get_paths()["stdlib"])
    asked: set[str] = set()
    for path in sorted(root.rglob("*.py")):
        if _LEFT_OUT.search(path.relative_to(root).as_posix()):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            text = ast.get_docstring(node)
            match = _SENTENCE.match(inspect.cleandoc(text)) if text else None
            if match is None:
                continue
            question, rest = " ".join(match[1].split()), match[2].strip()
            if not _LEAST <= len(rest) <= _MOST or question in asked:
                continue
            asked.add(question)
            name = path.relative_to(root).as_posix()
            yield name, Question(question, f"{node.name}: {rest}")
