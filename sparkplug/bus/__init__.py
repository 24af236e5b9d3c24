"""The bus: connecting, identities, the private nats-server, subjects, streams, buckets, leases."""

from sparkplug.bus.websockets import leave_websockets_out

# Here, so that it comes before whatever else of this room imports nats-py.
leave_websockets_out()
