"""Mem0, Chroma and what they import, told to contact nobody: before any of it is imported."""

from __future__ import annotations

import os
from pathlib import Path


def keep_quiet(folder: Path) -> None:
    """Switch off telemetry, notices and downloads; `folder` is where Mem0 may keep files."""
    os.environ.update(
        {
            "MEM0_TELEMETRY": "False",
            "MEM0_DIR": str(folder),
            "ANONYMIZED_TELEMETRY": "False",
            "POSTHOG_DISABLED": "1",
            "DO_NOT_TRACK": "1",
            "ORT_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
    )
