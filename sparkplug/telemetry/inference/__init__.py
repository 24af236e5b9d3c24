"""Inference servers of this host: found by port and process, asked over their own HTTP."""
