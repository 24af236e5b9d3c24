"""The verbs: everything the control centre can do, for scripts and for people in a hurry."""
