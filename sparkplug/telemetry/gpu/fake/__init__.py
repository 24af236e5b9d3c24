"""A scripted stand-in for NVIDIA's library, for tests and for demos marked SIMULATED."""
