"""Scribe: writes the brief of a host, by a model when one answers, else from a template."""

from __future__ import annotations

from .graph import graph

__all__ = ["graph"]
