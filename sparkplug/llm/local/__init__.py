"""Local models: a folder with a model, served by torch in a process of its own."""
