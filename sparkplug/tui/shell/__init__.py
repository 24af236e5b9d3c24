"""The shell of the control centre: what is round the panes, and over them."""
