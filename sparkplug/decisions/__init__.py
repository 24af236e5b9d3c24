"""Decisions: proposals, votes and what they come to, kept by one node at a time."""
