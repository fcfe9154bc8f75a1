"""The benchmark of `make bench`: pybroker and Apache Kafka, alternating, under the same public load tools
(see README.md)."""
