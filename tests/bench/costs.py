"""Where the control centre's time goes: `python -m tests.bench.costs [PANE] [--seconds 20]`.

Opens it on a pty on a crowd and notes what it is doing at every second millisecond of its
processor time (SIGPROF, setitimer(2)); waiting is not counted, what is done in C is counted to
the function that called it. Shares are of the time it works.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.pty_meter import Meter
from fakes.crowd_process import crowd

_SETTLE_S = 6.0
_SHOWN = 30
_WITHIN = """
import json, signal, threading
from collections import Counter

OUT, PANE, SETTLE, SECONDS, STEP = {out!r}, {pane!r}, {settle!r}, {seconds!r}, 0.002
own, whole = Counter(), Counter()


def name(code):
    path = code.co_filename
    for root in ("/site-packages/", "/sparkplug/", "/lib/python"):
        if root in path:
            path = ("sparkplug/" if root == "/sparkplug/" else "") + path.rpartition(root)[2]
            break
    return f"{{path}}:{{getattr(code, 'co_qualname', code.co_name)}}"


def sample(_number, frame):
    own[name(frame.f_code)] += 1
    seen = set()
    while frame is not None:
        seen.add(name(frame.f_code))
        frame = frame.f_back
    whole.update(seen)


def write():
    signal.setitimer(signal.ITIMER_PROF, 0)
    with open(OUT + ".new", "w") as file:
        json.dump([own, whole], file)
    import os
    os.rename(OUT + ".new", OUT)


def begin():
    signal.setitimer(signal.ITIMER_PROF, STEP, STEP)


signal.signal(signal.SIGPROF, sample)
signal.siginterrupt(signal.SIGPROF, False)
threading.Timer(SETTLE, begin).start()
threading.Timer(SETTLE + SECONDS, write).start()
from sparkplug.tui.main import main
raise SystemExit(main(pane=PANE))
"""


def costs(pane: str, seconds: float) -> tuple[Counter[str], Counter[str], float]:
    """How often each function was at work, itself and with what it calls; and the CPU in %."""
    with tempfile.TemporaryDirectory(prefix="sp-costs-") as folder, crowd() as env:
        out = Path(folder) / "costs.json"
        code = _WITHIN.format(out=str(out), pane=pane, settle=_SETTLE_S, seconds=seconds)
        with Meter([sys.executable, "-c", code], env) as meter:
            meter.painted()
            meter.read(_SETTLE_S)
            usage = meter.watch(seconds)
            while not out.exists():
                meter.read(0.1)
        own, whole = json.loads(out.read_text())
    return Counter(own), Counter(whole), usage.cpu_percent


def main() -> int:
    """Print the functions that take most."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.costs")
    parser.add_argument("pane", nargs="?", default="overview")
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    own, whole, cpu = costs(given.pane, given.seconds)
    total = sum(own.values())
    print(f"{given.pane}: {cpu:.1f} % of a core, {total} samples")
    for title, found in (("with what it calls", whole), ("itself", own)):
        print(f"\n{title}")
        for name, count in found.most_common(_SHOWN):
            print(f"{100 * count / total:6.1f} %  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
