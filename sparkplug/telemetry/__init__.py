"""Telemetry: what a host and its GPUs do, sampled once a second. No bus in this room."""
