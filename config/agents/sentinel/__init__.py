"""Sentinel: reads a host's telemetry over a window and finds what is wrong by stated rules."""

from __future__ import annotations

from .agent import Sentinel
from .findings import Finding, Survey

__all__ = ["Finding", "Sentinel", "Survey"]
