"""A message log server that standard Kafka clients connect to."""
