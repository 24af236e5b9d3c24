"""The observer: who talks to whom, and who waits for whom, without the agents' help."""
