"""The cleaner: log compaction, in Kafka's way.

`policy` decides which log and how far; `offset_map` knows the last offset of each key; `filtering` makes of
one batch what stays of it; `cleaning` does one pass over a log's files; `cleaner` is the state around it all.
"""
