"""Runtimes: a folder or file each behind one port (`runtimes.port`)."""
