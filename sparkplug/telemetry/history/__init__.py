"""What a host measured before: rings of figures in files, and the samples of the last hour."""
