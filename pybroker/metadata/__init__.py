"""The map: what the cluster looks like, as immutable images made from the records of the metadata log."""
