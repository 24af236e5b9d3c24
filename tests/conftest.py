"""Shared by all tests. pytest puts this folder on the path, so that `fakes` can be imported."""
