"""The parts that panes are made of; each paints only what changed."""
