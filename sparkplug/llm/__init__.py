"""Model providers. An agent gets its model through here and nowhere else."""
