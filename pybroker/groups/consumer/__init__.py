"""Consumer groups of KIP-848: the coordinator chooses the assignment, every member moves at its own pace."""
