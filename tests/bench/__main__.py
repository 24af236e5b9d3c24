"""`make bench`: every figure beside its bar and its peer. Exits 1 when a bar is missed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import (
    canvas,
    crowd_agents,
    far,
    forms,
    gpu_faults,
    graphs,
    hosts,
    logs,
    memory,
    memory_large,
    models,
    monkey,
    observer,
    plans,
    plot,
    prompts,
    rings,
    screen,
    spawn,
    starts,
    table,
    talk,
    task_rates,
)

_PARTS = {
    "starts": starts.run,
    "spawn": spawn.run,
    "crowd": crowd_agents.run,
    "prompts": prompts.run,
    "talk": talk.run,
    "tasks": task_rates.run,
    "plans": plans.run,
    "models": models.run,
    "graphs": graphs.run,
    "screen": screen.run,
    "hosts": hosts.run,
    "faults": gpu_faults.run,
    "canvas": canvas.run,
    "far": far.run,
    "monkey": monkey.run,
    "table": table.run,
    "plot": plot.run,
    "forms": forms.run,
    "logs": logs.run,
    "memory": memory.run,
    "memory-large": memory_large.run,
    "observer": observer.run,
    "rings": rings.run,
}


def main() -> int:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(_PARTS)}")
    chosen = parser.parse_args().parts or list(_PARTS)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}")
    missed = 0
    for name in chosen:
        for figure in _PARTS[name]():
            print(figure.line(), flush=True)
            missed += not figure.met
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
