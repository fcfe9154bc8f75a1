"""Kafka-Connect-compatible runtime (not built yet)."""
