"""Whichever verb is the first that a process runs, what it needs can be imported in that order."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

from sparkplug.cli.parser import ACTION_HANDLER
from sparkplug.cli.verbs import VERBS

#: A fork for each module of handlers, from what every call has imported by then, and from what is
#: of others: only the order of ours counts.
_FORKS = """
import asyncio, json, os, sys, traceback
import nats, nats.js, psutil, pydantic, ruamel.yaml
import sparkplug.cli.main

failed = []
for statements in json.loads(sys.argv[1]):
    if os.fork() == 0:
        try:
            for statement in statements:
                exec(statement)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.wait()[1]:
        failed.append(statements)
print(json.dumps(failed))
"""


def imports(module: str) -> list[str]:
    """The import of a module, and those its functions make when they run, as they stand there."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    inner = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom | ast.Import)]
    return [f"import {module}", *(ast.unparse(node) for node in inner if node.col_offset)]


def test_the_handlers_of_each_module_can_be_the_first() -> None:
    modules = {one.partition(":")[0] for one in (ACTION_HANDLER, *(v.handler for v in VERBS))}
    orders = [imports(module) for module in sorted(modules) if module.startswith("sparkplug.cli.")]
    assert len(orders) > 20
    assert sum(map(len, orders)) > 2 * len(orders), "handlers import what only they need"
    done = subprocess.run(
        [sys.executable, "-c", _FORKS, json.dumps(orders)],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    assert json.loads(done.stdout) == [], done.stderr
