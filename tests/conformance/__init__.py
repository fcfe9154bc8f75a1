"""The differential test: the same generated requests to Apache Kafka and to pybroker, and their answers."""
