"""Stand-ins for what tests cannot have: each is a real server or library of its own."""
