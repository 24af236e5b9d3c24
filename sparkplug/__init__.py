"""SparkPlug: the control centre for AI agents on GPU hosts, in the terminal."""

__version__ = "0.1.0"
