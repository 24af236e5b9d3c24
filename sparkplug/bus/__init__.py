"""The bus: connecting, identities, the private nats-server, subjects, streams, buckets, leases."""
