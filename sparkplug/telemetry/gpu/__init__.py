"""GPUs by NVML, asked in a process of its own so that a hung driver freezes only that."""
