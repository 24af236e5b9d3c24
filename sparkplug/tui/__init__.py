"""The control centre in the terminal: draws what the client follows, invokes actions."""
