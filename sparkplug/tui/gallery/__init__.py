"""`sparkplug gallery`: every widget on a page of its own, with made-up data, to look at and try."""
