"""Kafka's topic, group and client-metrics names as text.

In: nothing. Out: tables for `keys.parse_table`, in the form that `broker_table` describes, with the broker
names that give the default (first one set wins) in place of the mode. Topic and group rows stand in the order
in which Kafka validates them, because that decides which of several errors is reported.
"""

from __future__ import annotations

TOPIC = """\
segment.bytes int 1073741824 >=1048576 log.segment.bytes 1
  Size at which a segment is rolled.
segment.ms long 604800000 >=1 log.roll.ms,log.roll.hours 1
  Milliseconds after which a segment is rolled, even when it is not full.
segment.jitter.ms long 0 >=0 log.roll.jitter.ms,log.roll.jitter.hours 1
  Most milliseconds taken off at random from `segment.ms`.
segment.index.bytes int 10485760 >=4 log.index.size.max.bytes 1
  Largest offset or time index; a full one rolls the segment.
flush.messages long 9223372036854775807 >=1 log.flush.interval.messages 1
  Sync a partition to disk after this many records.
flush.ms long 9223372036854775807 >=0 log.flush.interval.ms,log.flush.scheduler.interval.ms 1
  Sync a partition to disk after this time.
retention.bytes long -1 - log.retention.bytes 1
  Bytes of a partition to keep; -1 is no limit.
retention.ms long 604800000 >=-1 log.retention.ms,log.retention.minutes,log.retention.hours 1
  Milliseconds to keep records; -1 is no limit.
max.message.bytes int 1048588 >=0 message.max.bytes 1
  Largest record batch, after compression.
index.interval.bytes int 4096 >=0 log.index.interval.bytes 1
  Bytes of log between two entries of its offset index.
delete.retention.ms long 86400000 >=0 log.cleaner.delete.retention.ms 1
  How long tombstones are kept when the topic is compacted.
min.compaction.lag.ms long 0 >=0 log.cleaner.min.compaction.lag.ms 1
  A record stays uncompacted at least this long.
max.compaction.lag.ms long 9223372036854775807 >=1 log.cleaner.max.compaction.lag.ms 1
  A record is compacted at the latest after this time.
file.delete.delay.ms long 60000 >=0 log.segment.delete.delay.ms 1
  Wait between marking a file as deleted and removing it.
min.cleanable.dirty.ratio double 0.5 0..1 log.cleaner.min.cleanable.ratio 1
  Least dirty part of the log, as a fraction, that makes it worth cleaning.
cleanup.policy list delete {compact,delete} log.cleanup.policy 1
  What happens to old records: delete, compact, both, or (empty) nothing.
unclean.leader.election.enable bool false - unclean.leader.election.enable -
  Let a replica lead that is not in sync, at the price of lost records.
min.insync.replicas int 1 >=1 min.insync.replicas 1
  Replicas that must have a record before acks=all is answered.
compression.type string producer {uncompressed,zstd,lz4,snappy,gzip,producer} compression.type 1
  Codec of stored batches; `producer` keeps what the producer chose.
compression.gzip.level int -1 1..9|-1 compression.gzip.level 1
  Level of gzip when `compression.type` is gzip; -1 is the library's default.
compression.lz4.level int 9 1..17 compression.lz4.level 1
  Level of lz4 when `compression.type` is lz4.
compression.zstd.level int 3 -131072..22 compression.zstd.level 1
  Level of zstd when `compression.type` is zstd.
preallocate bool false - log.preallocate 1
  Give new segment files their full size at once.
message.timestamp.type string CreateTime {CreateTime,LogAppendTime} log.message.timestamp.type 1
  Whether a record keeps its creation time or gets the time of the append.
message.timestamp.before.max.ms long 9223372036854775807 >=0 log.message.timestamp.before.max.ms 1
  How far a record's timestamp may lie before the broker's clock.
message.timestamp.after.max.ms long 3600000 >=0 log.message.timestamp.after.max.ms 1
  How far a record's timestamp may lie after the broker's clock.
leader.replication.throttled.replicas list '' throttle - -
  Replicas whose leaders are throttled, as partition:broker,... or `*`.
follower.replication.throttled.replicas list '' throttle - -
  Replicas whose followers are throttled, as partition:broker,... or `*`.
remote.storage.enable bool false - - -
  Keep old segments of this topic in tiered storage.
local.retention.ms long -2 >=-2 log.local.retention.ms -
  Time kept on the broker when tiered storage is on; -2 means `retention.ms`.
local.retention.bytes long -2 >=-2 log.local.retention.bytes -
  Bytes kept on the broker when tiered storage is on; -2 means `retention.bytes`.
remote.log.copy.disable bool false - - -
  Stop copying to tiered storage; what is there stays readable.
remote.log.delete.on.disable bool false - - -
  Delete what is in tiered storage when it is turned off for the topic.
"""

TOPIC_INTERNAL = """\
internal.segment.bytes int - >=1 - 1
  Segment size below the usual bound, for tests of the log.
"""

GROUP = """\
consumer.session.timeout.ms int 45000 >=1 group.consumer.session.timeout.ms 1
  A member that is silent for this long is removed.
consumer.heartbeat.interval.ms int 5000 >=1 group.consumer.heartbeat.interval.ms 1
  Pause between heartbeats that members are told.
consumer.assignment.interval.ms int 1000 >=0 group.consumer.assignment.interval.ms 1
  Least pause between two assignments of the group.
share.session.timeout.ms int 45000 >=1 group.share.session.timeout.ms 1
  A member that is silent for this long is removed.
share.heartbeat.interval.ms int 5000 >=1 group.share.heartbeat.interval.ms 1
  Pause between heartbeats that members are told.
share.record.lock.duration.ms int 30000 >=1000 group.share.record.lock.duration.ms 1
  How long a record stays locked for the member that acquired it.
share.delivery.count.limit int 5 >=2 group.share.delivery.count.limit 1
  How often a record is delivered before it is given up.
share.partition.max.record.locks int 2000 >=100 group.share.partition.max.record.locks 1
  Most records of a partition that the group may hold locked.
share.auto.offset.reset string latest reset - 1
  Where a new share group starts: latest, earliest, or by_duration:PnDTnHnMn.nS ago.
share.isolation.level string read_uncommitted {read_committed,read_uncommitted} - 1
  Whether records of open and aborted transactions are delivered.
share.renew.acknowledge.enable bool true - - 1
  Let members prolong the lock of a record.
share.assignment.interval.ms int 1000 >=0 group.share.assignment.interval.ms 1
  Least pause between two assignments of the group.
streams.session.timeout.ms int 45000 >=1 group.streams.session.timeout.ms -
  A member that is silent for this long is removed.
streams.heartbeat.interval.ms int 5000 >=1 group.streams.heartbeat.interval.ms -
  Pause between heartbeats that members are told.
streams.num.standby.replicas int 0 >=0 group.streams.num.standby.replicas -
  Standby replicas of each stateful task.
streams.initial.rebalance.delay.ms int 3000 >=0 group.streams.initial.rebalance.delay.ms -
  Wait for more members before the first rebalance.
streams.assignment.interval.ms int 1000 >=0 group.streams.assignment.interval.ms -
  Least pause between two assignments of the group.
"""

CLIENT_METRICS = """\
interval.ms int 300000 - - -
  Pause between two pushes of a client's metrics.
match list '' - - -
  Clients that are meant, as key=regular expression,...
metrics list '' - - -
  Prefixes of the metrics that clients push; `*` means all.
"""
