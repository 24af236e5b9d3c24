"""`runtime: langgraph`: a compiled graph, a function that returns one, or a `langgraph.json`."""

from sparkplug.agents.runtimes.langgraph.entry import load

__all__ = ["load"]
