"""The daemon: composes the services of one host. Supervisor, placer, reconcile loop."""
