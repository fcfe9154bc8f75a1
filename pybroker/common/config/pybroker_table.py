"""The names of this broker's own settings, in the form that `broker_table` describes."""

from __future__ import annotations

PYBROKER = """\
pybroker.durability string os {os,fsync} ro 1
  `os`: a record is acknowledged when the operating system has it; `fsync`: when the disk has it.
pybroker.http.listener string '' - ro 1
  HOST:PORT that serves /health and /metrics; empty serves nothing.
pybroker.record.validation string adaptive {full,header,adaptive} ro 1
  How closely produced batches are read: `full` walks every record, `header` checks sizes and the checksum.
pybroker.connection.max.pending.requests int 256 >=1 ro 1
  Produce requests of one connection that may wait for their answer before it is not read any more.
pybroker.connection.read.ahead.bytes int 65536 >=1024 ro 1
  Bytes of a connection that are read beyond the request that waits.
pybroker.connection.write.buffer.bytes int 262144 >=1024 ro 1
  A connection with more bytes of replies that its peer has not taken gets no further request served.
pybroker.connections.max int 10000 >=1 ro 1
  Most open connections, where `max.connections` is larger or not set.
pybroker.connections.max.per.ip int 10000 >=1 ro 1
  Most open connections from one address, where `max.connections.per.ip` is larger or not set.
pybroker.frame.min.bytes.per.second int 1024 >=1 ro 1
  A request that is incomplete after `pybroker.frame.timeout.ms` must have come at least at this rate.
pybroker.frame.timeout.ms int 30000 >=100 ro 1
  Time for a request to arrive, from its first byte, before its rate is looked at.
pybroker.request.bytes.in.flight.max long 67108864 >=1048576 ro 1
  Bytes of requests that are held over all connections before reading stops; one request may go beyond.
pybroker.unsent.response.max.bytes long 100663296 >=1048576 ro 1
  Bytes of replies that peers have not taken; above half of it fetches wait and idle readers are closed.
"""
