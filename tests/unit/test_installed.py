"""What a plain install brings is enough for a node, its agents and the faces to start."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: What runs on a host on which only the core was installed.
_STARTED = (
    "sparkplug.node.parent",
    "sparkplug.node.__main__",
    "sparkplug.agents.zygote",
    "sparkplug.agents.process",
    "sparkplug.agents.runtimes.python",
    "sparkplug.telemetry.gpu.worker",
    "sparkplug.cli.main",
    "sparkplug.tui.app",
    "sparkplug.tui.gallery.main",
)
#: httpx takes them where they are, and does without where they are not.
_TAKEN = {"click", "zstandard"}
_CODE = """
import importlib, json, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({one.split(".")[0] for one in set(sys.modules) - before})))
"""


def _brought(name: str, extra: str, found: set[str]) -> set[str]:
    """What installing a distribution, or one of its extras, brings with it."""
    for requirement in map(Requirement, requires(name) or []):
        marker = requirement.marker
        if marker is not None and not marker.evaluate({"extra": extra}):
            continue
        other = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if f"{other}[{wanted}]" not in found:
                found |= {other, f"{other}[{wanted}]"}
                _brought(other, wanted, found)
    return found


def test_nothing_is_imported_that_only_an_extra_brings() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CODE, *_STARTED],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    core = _brought("sparkplug-control", "", {"sparkplug-control"})
    owners = packages_distributions()
    strangers = {}
    for top in json.loads(done.stdout):
        names = {canonicalize_name(name) for name in owners.get(top, [])}
        if names and not names & (core | _TAKEN):
            strangers[top] = names
    assert strangers == {}
