"""The REST API of a worker, the same as Kafka Connect's."""
