"""The counter: one file per API, plain functions from a request to a reply.

A handler returns a response message, a Deferred of one, or None when Kafka sends no reply. `registry.py` is
the table that dispatch reads.
"""
