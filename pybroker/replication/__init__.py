"""The twins: what one replica of a partition knows."""
