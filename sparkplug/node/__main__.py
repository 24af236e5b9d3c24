"""`python -m sparkplug.node`: the daemon in the foreground, as systemd and the parent run it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from sparkplug.config import load_settings
from sparkplug.node import run_files
from sparkplug.node.daemon import run_daemon
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.node import NodeOutcome


def main() -> int:
    """Run the node; the outcome is left for the parent and for `sparkplug up`."""
    parser = argparse.ArgumentParser(prog="sparkplug node")
    parser.add_argument("--home", type=Path, help="state directory")
    parser.add_argument("--parent", type=int, help="pid of the process that restarts this one")
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("nats").setLevel(logging.ERROR)
    os.umask(0o077)
    if arguments.home:
        os.environ["SPARKPLUG_HOME"] = str(arguments.home)
    try:
        settings = load_settings()
        paths = settings.paths
        paths.ensure()
    except SparkplugError as error:
        return _failed(error, arguments.home)
    outcome = paths.run / run_files.OUTCOME
    outcome.unlink(missing_ok=True)
    try:
        asyncio.run(run_daemon(paths, settings, arguments.parent))
    except SparkplugError as error:
        return _failed(error, paths.home)
    (paths.run / run_files.NODE).unlink(missing_ok=True)
    run_files.write(outcome, NodeOutcome(outcome="down").model_dump())
    return 0


def _failed(error: SparkplugError, home: Path | None) -> int:
    print(f"sparkplug node: {error}", file=sys.stderr)
    if home is not None and (home / "run").is_dir():
        failed = NodeOutcome(outcome="failed", error=error.as_json()["error"])
        run_files.write(home / "run" / run_files.OUTCOME, failed.model_dump())
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
