"""Every user action once: what it is called, what it needs, when it applies, what it does."""
