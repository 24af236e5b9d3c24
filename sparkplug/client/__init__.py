"""The typed API over the bus: everything a face may ask of a mesh. Prints nothing."""
