"""The panes: one full screen each, mounted when first looked at."""
