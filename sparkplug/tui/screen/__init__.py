"""What is written to the terminal: the cells that changed, and nothing else."""
