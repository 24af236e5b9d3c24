"""Critic: checks every figure of a brief, and sends it back when one is wrong."""

from __future__ import annotations

from .graph import graph

__all__ = ["graph"]
