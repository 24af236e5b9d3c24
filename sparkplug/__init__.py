"""SparkPlug: the control centre for AI agents on GPU hosts, in the terminal."""

from sparkplug.lean_nats import leave_websockets_out

__version__ = "0.1.0"

leave_websockets_out()
