"""Classic groups: the members choose the assignment, the coordinator keeps them in step."""
