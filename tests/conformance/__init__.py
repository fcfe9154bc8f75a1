"""The differential test: generated requests go to Apache Kafka and to pybroker, and the answers are compared."""
