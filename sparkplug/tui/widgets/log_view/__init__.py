"""A log: a million lines kept on the disk, of which those on the screen are read."""
