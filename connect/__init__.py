"""Kafka-Connect-compatible runtime (api/ is what authors of plug-ins import)."""
