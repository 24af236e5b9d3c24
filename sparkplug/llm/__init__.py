"""Models: one port, a file per provider behind it, one retry loop, and a ledger of every call."""
