"""The part of the runtime that waits: threads of tasks, Kafka clients, the group, files."""
