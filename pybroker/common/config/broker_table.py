"""Kafka's broker names as text: 340 public ones, 20 internal ones, and what dynamic configuration adds.

In: nothing. Out: tables for `keys.parse_table`. A row is `name type default range mode single-node`, an
indented line with the documentation after it. Default: `-` is null, `''` is empty, `required` has none, `=`
means that it stands on a line of its own. Mode: `ro` read only, `cluster` dynamic for one broker or all,
`broker` dynamic for one broker. Single-node: `1` is honoured by a single node, `-` is accepted and inert.
"""

from __future__ import annotations

PUBLIC = """\
add.partitions.to.txn.retry.backoff.max.ms int 100 >=0 ro -
  Longest total wait of the broker while it retries to add a partition to a transaction.
add.partitions.to.txn.retry.backoff.ms int 20 >=1 ro -
  Pause between two attempts of the broker to add a partition to a transaction.
advertised.listeners list - - ro 1
  Addresses that clients are told to connect to; unset means those of `listeners`.
alter.config.policy.class.name class - - ro -
  Java class that may refuse changes of configurations.
alter.log.dirs.replication.quota.window.num int 11 >=1 ro -
  Samples kept to measure the rate of moves between log directories.
alter.log.dirs.replication.quota.window.size.seconds int 1 >=1 ro -
  Length of one such sample.
authorizer.class.name string '' - ro 1
  Class that decides who may do what; empty lets everyone do everything.
auto.create.topics.enable bool true - ro 1
  Create a topic when a client asks for the metadata of one that does not exist.
auto.leader.rebalance.enable bool true - ro -
  Give leadership back to preferred replicas in the background.
background.threads int 10 >=1 cluster -
  Threads for background work.
broker.heartbeat.interval.ms int 2000 - ro -
  Pause between the heartbeats of a broker to the controller.
broker.id int -1 - ro 1
  Number of this broker; follows `node.id`.
broker.rack string - - ro -
  Rack of this broker, told to clients and used to place replicas.
broker.session.timeout.ms int 9000 - ro -
  A broker without a heartbeat for this long is fenced.
client.quota.callback.class class - - ro -
  Java class that computes client quotas.
compression.gzip.level int -1 1..9|-1 cluster 1
  Level of gzip when the broker compresses; -1 is the library's default.
compression.lz4.level int 9 1..17 cluster 1
  Level of lz4 when the broker compresses.
compression.type string producer {uncompressed,zstd,lz4,snappy,gzip,producer} cluster 1
  Codec of stored batches; `producer` keeps what the producer chose.
compression.zstd.level int 3 -131072..22 cluster 1
  Level of zstd when the broker compresses.
config.providers list '' - cluster 1
  Names of providers that fill in references inside configuration values.
connection.failed.authentication.delay.ms int 100 >=0 ro 1
  Wait before a connection that failed to authenticate is closed.
connections.max.idle.ms long 600000 - ro 1
  A connection without requests for this long is closed; negative disables it.
connections.max.reauth.ms long 0 - ro 1
  A session must authenticate again within this time; 0 disables it.
controlled.shutdown.enable bool true - ro -
  Hand leadership over before the broker stops.
controller.listener.names list required - ro 1
  Names of the listeners that belong to the controller role.
controller.quorum.append.linger.ms int 25 >=0 ro -
  How long the controller's leader waits to write several changes at once.
controller.quorum.auto.join.enable bool false - ro -
  A new controller adds itself to the voters.
controller.quorum.bootstrap.servers list '' - ro -
  Addresses to find the controllers by.
controller.quorum.election.backoff.max.ms int 1000 >=0 ro -
  Longest pause before another election.
controller.quorum.election.timeout.ms int 1000 >=0 ro -
  Longest wait for an election to end before another one starts.
controller.quorum.fetch.max.bytes int 1048576 >=1 ro -
  Bytes of metadata log asked for in one fetch.
controller.quorum.fetch.snapshot.max.bytes int 1048576 >=1 ro -
  Bytes of a metadata snapshot asked for in one fetch.
controller.quorum.fetch.timeout.ms int 2000 >=0 ro -
  Without a successful fetch for this long a voter starts an election.
controller.quorum.request.timeout.ms int 2000 >=0 ro -
  Longest wait for an answer of another controller.
controller.quorum.retry.backoff.ms int 20 >=0 ro -
  Pause before a failed request to a controller is sent again.
controller.quorum.voters list '' - ro -
  The fixed set of controllers, as id@host:port,...
controller.quota.window.num int 11 >=1 ro 1
  Samples kept to measure the rate of topic and partition changes.
controller.quota.window.size.seconds int 1 >=1 ro 1
  Length of one such sample.
controller.socket.timeout.ms int 30000 - ro -
  Socket timeout of requests to the controller.
cordoned.log.dirs list '' - broker -
  Log directories that get no new partitions; `*` means all.
create.topic.policy.class.name class - - ro -
  Java class that may refuse new topics.
default.replication.factor int 1 - ro 1
  Replicas of topics that are created without a number of them.
delegation.token.expiry.check.interval.ms long 3600000 >=1 ro -
  Pause between two searches for expired delegation tokens.
delegation.token.expiry.time.ms long 86400000 >=1 ro -
  A delegation token must be renewed within this time.
delegation.token.max.lifetime.ms long 604800000 >=1 ro -
  A delegation token ends after this time, renewed or not.
delegation.token.secret.key password - - ro -
  Secret that signs delegation tokens; unset disables them.
delete.records.purgatory.purge.interval.requests int 1 - ro -
  Finished DeleteRecords waits that may pile up before they are purged.
delete.topic.enable bool true - ro 1
  Let clients delete topics.
early.start.listeners list - - ro -
  Listeners that open before the broker is fully started.
fetch.max.bytes int 57671680 >=1024 ro 1
  Most bytes in one fetch answer, whatever the client asks for.
fetch.purgatory.purge.interval.requests int 1000 - ro -
  Finished fetch waits that may pile up before they are purged.
follower.fetch.last.tiered.offset.enable bool false - cluster -
  A new follower starts after what is in tiered storage.
group.consumer.assignment.interval.ms int 1000 >=0 cluster 1
  Least pause between two assignments of a consumer group.
group.consumer.assignors list uniform,range - ro 1
  Assignors that consumer groups may use; the first is the default.
group.consumer.heartbeat.interval.ms int 5000 >=1 ro 1
  Pause between heartbeats that members of consumer groups are told.
group.consumer.max.assignment.interval.ms int 15000 >=0 ro 1
  Upper bound of a group's own assignment interval.
group.consumer.max.heartbeat.interval.ms int 15000 >=1 ro 1
  Upper bound of a group's own heartbeat interval.
group.consumer.max.session.timeout.ms int 60000 >=1 ro 1
  Upper bound of a group's own session timeout.
group.consumer.max.size int 2147483647 >=1 ro 1
  Most members of one consumer group.
group.consumer.migration.policy string bidirectional {DISABLED,DOWNGRADE,UPGRADE,BIDIRECTIONAL}i ro 1
  Which way a group may change between the classic and the consumer protocol.
group.consumer.min.assignment.interval.ms int 0 >=0 ro 1
  Lower bound of a group's own assignment interval.
group.consumer.min.heartbeat.interval.ms int 5000 >=1 ro 1
  Lower bound of a group's own heartbeat interval.
group.consumer.min.session.timeout.ms int 45000 >=1 ro 1
  Lower bound of a group's own session timeout.
group.consumer.session.timeout.ms int 45000 >=1 ro 1
  A member of a consumer group that is silent for this long is removed.
group.coordinator.append.linger.ms int -1 >=-1 ro -
  How long the group coordinator gathers records before it writes; -1 adapts.
group.coordinator.background.threads int 2 >=1 ro -
  Threads for the group coordinator's background work.
group.coordinator.cached.buffer.max.bytes int 1048588 >=524288 cluster -
  Largest write buffer that the group coordinator keeps.
group.coordinator.rebalance.protocols list classic,consumer,streams {consumer,classic,share,streams} ro 1
  Group protocols that are enabled.
group.coordinator.threads int 4 >=1 ro -
  Threads of the group coordinator.
group.initial.rebalance.delay.ms int 3000 - ro 1
  Wait for more members before the first rebalance of a new classic group.
group.max.session.timeout.ms int 1800000 - ro 1
  Longest session timeout that a classic member may ask for.
group.max.size int 2147483647 >=1 ro 1
  Most members of one classic group.
group.min.session.timeout.ms int 6000 - ro 1
  Shortest session timeout that a classic member may ask for.
group.share.assignment.interval.ms int 1000 >=0 cluster 1
  Least pause between two assignments of a share group.
group.share.assignors list simple - ro 1
  Assignors that share groups may use.
group.share.delivery.count.limit int 5 2..10 ro 1
  How often a record is delivered to a share group before it is given up.
group.share.heartbeat.interval.ms int 5000 >=1 ro 1
  Pause between heartbeats that members of share groups are told.
group.share.max.assignment.interval.ms int 15000 >=0 ro 1
  Upper bound of a share group's own assignment interval.
group.share.max.delivery.count.limit int 10 5..25 ro 1
  Upper bound of a share group's own delivery count limit.
group.share.max.heartbeat.interval.ms int 15000 >=1 ro 1
  Upper bound of a share group's own heartbeat interval.
group.share.max.partition.max.record.locks int 4000 2000..10000 ro 1
  Upper bound of a share group's own record lock limit.
group.share.max.record.lock.duration.ms int 60000 30000..3600000 ro 1
  Upper bound of a share group's own record lock duration.
group.share.max.session.timeout.ms int 60000 >=1 ro 1
  Upper bound of a share group's own session timeout.
group.share.max.share.sessions int 2000 >=1 ro 1
  Most share sessions on one broker.
group.share.max.size int 200 1..1000 ro 1
  Most members of one share group.
group.share.min.assignment.interval.ms int 0 >=0 ro 1
  Lower bound of a share group's own assignment interval.
group.share.min.delivery.count.limit int 2 2..5 ro 1
  Lower bound of a share group's own delivery count limit.
group.share.min.heartbeat.interval.ms int 5000 >=1 ro 1
  Lower bound of a share group's own heartbeat interval.
group.share.min.partition.max.record.locks int 100 100..2000 ro 1
  Lower bound of a share group's own record lock limit.
group.share.min.record.lock.duration.ms int 15000 1000..30000 ro 1
  Lower bound of a share group's own record lock duration.
group.share.min.session.timeout.ms int 45000 >=1 ro 1
  Lower bound of a share group's own session timeout.
group.share.partition.max.record.locks int 2000 100..10000 ro 1
  Most records of a partition that a share group may hold locked.
group.share.record.lock.duration.ms int 30000 1000..3600000 ro 1
  How long a record stays locked for the member that acquired it.
group.share.session.timeout.ms int 45000 >=1 ro 1
  A member of a share group that is silent for this long is removed.
group.streams.assignment.interval.ms int 1000 >=0 cluster -
  Least pause between two assignments of a streams group.
group.streams.heartbeat.interval.ms int 5000 >=1 ro -
  Pause between heartbeats that members of streams groups are told.
group.streams.initial.rebalance.delay.ms int 3000 >=0 ro -
  Wait for more members before the first rebalance of a streams group.
group.streams.max.assignment.interval.ms int 15000 >=0 ro -
  Upper bound of a streams group's own assignment interval.
group.streams.max.heartbeat.interval.ms int 15000 >=1 ro -
  Upper bound of a streams group's own heartbeat interval.
group.streams.max.session.timeout.ms int 60000 >=1 ro -
  Upper bound of a streams group's own session timeout.
group.streams.max.size int 2147483647 >=1 ro -
  Most members of one streams group.
group.streams.max.standby.replicas int 2 >=0 ro -
  Upper bound of a streams group's own number of standby replicas.
group.streams.min.assignment.interval.ms int 0 >=0 ro -
  Lower bound of a streams group's own assignment interval.
group.streams.min.heartbeat.interval.ms int 5000 >=1 ro -
  Lower bound of a streams group's own heartbeat interval.
group.streams.min.session.timeout.ms int 45000 >=1 ro -
  Lower bound of a streams group's own session timeout.
group.streams.num.standby.replicas int 0 >=0 ro -
  Standby replicas of each stateful task of a streams group.
group.streams.session.timeout.ms int 45000 >=1 ro -
  A member of a streams group that is silent for this long is removed.
initial.broker.registration.timeout.ms int 60000 - ro -
  Longest wait of a starting broker for its registration.
inter.broker.listener.name string - - ro 1
  Listener that brokers use among themselves.
kafka.metrics.polling.interval.secs int 10 >=1 ro -
  Pause between two polls of the metrics reporters.
kafka.metrics.reporters list '' - ro -
  Java classes that report metrics.
leader.imbalance.check.interval.seconds long 300 >=1 ro -
  Pause between two checks for leaders that are not preferred.
listener.security.protocol.map string = - broker 1
  = SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
  Which security protocol each listener name speaks, as NAME:PROTOCOL,...
listeners list PLAINTEXT://:9092 nonempty broker 1
  Addresses to listen on, as NAME://host:port,...; an empty host means all interfaces.
log.cleaner.backoff.ms long 15000 >=0 cluster 1
  Pause of the cleaner when there is nothing to clean.
log.cleaner.dedupe.buffer.size long 134217728 - cluster 1
  Memory of the cleaner for its map of keys, over all its threads.
log.cleaner.delete.retention.ms long 86400000 >=0 cluster 1
  How long tombstones are kept in compacted topics.
log.cleaner.enable bool true - ro 1
  Run the cleaner; without it compacted topics are not compacted.
log.cleaner.io.buffer.load.factor double 0.9 - cluster -
  How full the cleaner's map of keys may get, as a fraction.
log.cleaner.io.buffer.size int 524288 >=0 cluster -
  Memory of the cleaner for reading and writing, over all its threads.
log.cleaner.io.max.bytes.per.second double 1.7976931348623157E308 - cluster 1
  The cleaner reads and writes no faster than this.
log.cleaner.max.compaction.lag.ms long 9223372036854775807 >=1 cluster 1
  A record is compacted at the latest after this time.
log.cleaner.min.cleanable.ratio double 0.5 0..1 cluster 1
  Least dirty part of a log, as a fraction, that makes it worth cleaning.
log.cleaner.min.compaction.lag.ms long 0 >=0 cluster 1
  A record stays uncompacted at least this long.
log.cleaner.threads int 1 >=0 cluster 1
  Threads that clean.
log.cleanup.policy list delete {compact,delete} cluster 1
  What happens to old records: delete, compact, both, or (empty) nothing.
log.dir list /tmp/kafka-logs nonempty ro 1
  Directory of the data, used when `log.dirs` is unset.
log.dir.failure.timeout.ms long 30000 >=1 ro -
  The broker stops when it could not report a failed directory for this long.
log.dirs list - - ro 1
  Directories of the data, separated by commas; unset means `log.dir`.
log.flush.interval.messages long 9223372036854775807 >=1 cluster 1
  Sync a partition to disk after this many records.
log.flush.interval.ms long - - cluster 1
  Sync a partition to disk after this time; unset means the scheduler interval.
log.flush.offset.checkpoint.interval.ms int 60000 >=0 ro 1
  Pause between two writes of the recovery point checkpoint.
log.flush.scheduler.interval.ms long 9223372036854775807 - ro 1
  Pause between two checks for partitions that must be synced.
log.flush.start.offset.checkpoint.interval.ms int 60000 >=0 ro 1
  Pause between two writes of the log start offset checkpoint.
log.index.interval.bytes int 4096 >=0 cluster 1
  Bytes of log between two entries of its offset index.
log.index.size.max.bytes int 10485760 >=4 cluster 1
  Largest offset or time index; a full one rolls the segment.
log.local.retention.bytes long -2 >=-2 cluster -
  Bytes kept on this broker when tiered storage is on; -2 means the full retention.
log.local.retention.ms long -2 >=-2 cluster -
  Time kept on this broker when tiered storage is on; -2 means the full retention.
log.message.timestamp.after.max.ms long 3600000 >=0 cluster 1
  How far a record's timestamp may lie after the broker's clock.
log.message.timestamp.before.max.ms long 9223372036854775807 >=0 cluster 1
  How far a record's timestamp may lie before the broker's clock.
log.message.timestamp.type string CreateTime {CreateTime,LogAppendTime} cluster 1
  Whether a record keeps its creation time or gets the time of the append.
log.preallocate bool false - cluster 1
  Give new segment files their full size at once.
log.retention.bytes long -1 - cluster 1
  Bytes of a partition to keep; -1 is no limit.
log.retention.check.interval.ms long 300000 >=1 ro 1
  Pause between two searches for segments that can be deleted.
log.retention.hours int 168 - ro 1
  Hours to keep records, when neither milliseconds nor minutes are set.
log.retention.minutes int - - ro 1
  Minutes to keep records, when milliseconds are not set.
log.retention.ms long - - cluster 1
  Milliseconds to keep records; -1 is no limit, unset means the minutes or hours.
log.roll.hours int 168 >=1 ro 1
  Hours after which a segment is rolled, when milliseconds are not set.
log.roll.jitter.hours int 0 >=0 ro 1
  Most hours taken off at random from the roll time, when milliseconds are not set.
log.roll.jitter.ms long - - cluster 1
  Most milliseconds taken off at random from the roll time.
log.roll.ms long - - cluster 1
  Milliseconds after which a segment is rolled, even when it is not full.
log.segment.bytes int 1073741824 >=1048576 cluster 1
  Size at which a segment is rolled.
log.segment.delete.delay.ms long 60000 >=0 cluster 1
  Wait between marking a file as deleted and removing it.
max.connection.creation.rate int 2147483647 >=0 cluster 1
  Most new connections per second; the others wait before anything of theirs is handled.
max.connections int 2147483647 >=0 cluster 1
  Most open connections. `pybroker.connections.max` holds as well.
max.connections.per.ip int 2147483647 >=0 cluster 1
  Most open connections from one address. `pybroker.connections.max.per.ip` holds as well.
max.connections.per.ip.overrides string '' - cluster 1
  Other limits for single addresses, as host:count,...
max.incremental.fetch.session.cache.slots int 1000 >=0 ro 1
  Incremental fetch sessions that are kept.
max.request.partition.size.limit int 2000 >=1 ro 1
  Most partitions in one answer of DescribeTopicPartitions.
message.max.bytes int 1048588 >=0 cluster 1
  Largest record batch, after compression.
metadata.log.dir string - - ro 1
  Directory of the metadata log; unset means the first log directory.
metadata.log.max.record.bytes.between.snapshots long 20971520 >=1 ro 1
  Bytes of metadata records after which a snapshot is written.
metadata.log.max.snapshot.interval.ms long 3600000 >=0 ro 1
  Time after which a snapshot is written when there were changes; 0 disables it.
metadata.log.segment.bytes int 1073741824 >=8388608 ro 1
  Size at which a segment of the metadata log is rolled.
metadata.log.segment.ms long 604800000 - ro 1
  Time after which a segment of the metadata log is rolled.
metadata.max.idle.interval.ms int 500 >=0 ro 1
  An idle controller writes a no-op record this often; 0 disables it.
metadata.max.retention.bytes long 104857600 - ro 1
  Bytes of metadata log and snapshots to keep.
metadata.max.retention.ms long 604800000 - ro 1
  Time to keep old metadata segments and snapshots.
metric.reporters list org.apache.kafka.common.metrics.JmxReporter - cluster -
  Java classes that report metrics.
metrics.num.samples int 2 >=1 ro -
  Samples kept for each metric.
metrics.recording.level string INFO - ro -
  Which metrics are recorded: INFO, DEBUG or TRACE.
metrics.sample.window.ms long 30000 >=1 ro -
  Length of one sample of a metric.
min.insync.replicas int 1 >=1 cluster 1
  Replicas that must have a record before acks=all is answered.
node.id int required >=0 ro 1
  Number of this node.
num.io.threads int 8 >=1 cluster -
  Threads that handle requests.
num.network.threads int 3 >=1 cluster -
  Threads that serve the network.
num.partitions int 1 >=1 ro 1
  Partitions of topics that are created without a number of them.
num.recovery.threads.per.data.dir int 2 >=1 cluster 1
  Threads for each log directory that load and recover logs.
num.replica.alter.log.dirs.threads int - - ro -
  Threads that move replicas between directories; unset means one for each directory.
num.replica.fetchers int 1 >=1 cluster -
  Fetchers for each broker that is followed.
offset.metadata.max.bytes int 4096 - ro 1
  Most characters of metadata with a committed offset.
offsets.commit.timeout.ms int 5000 >=1 ro 1
  Longest wait for a commit to reach all replicas.
offsets.load.buffer.size int 5242880 >=1 ro -
  Bytes read at a time while committed offsets are loaded.
offsets.retention.check.interval.ms long 600000 >=1 ro 1
  Pause between two searches for expired offsets.
offsets.retention.minutes int 10080 >=1 ro 1
  How long offsets of an empty group are kept.
offsets.topic.compression.codec int 0 - ro -
  Codec of the offsets topic, as a number.
offsets.topic.num.partitions int 50 >=1 ro 1
  Partitions of the offsets topic.
offsets.topic.replication.factor short 3 >=1 ro 1
  Replicas of the offsets topic.
offsets.topic.segment.bytes int 104857600 >=1 ro 1
  Segment size of the offsets topic.
principal.builder.class class = - broker -
  = org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder
  Java class that names the user of a connection.
process.roles list required {broker,controller} ro 1
  Roles of this process: broker, controller or both.
producer.id.expiration.ms int 86400000 >=1 cluster 1
  The state of a producer that is silent for this long is forgotten.
producer.purgatory.purge.interval.requests int 1000 - ro -
  Finished produce waits that may pile up before they are purged.
queued.max.request.bytes long -1 - ro 1
  Bytes of requests that may be held; -1 takes `pybroker.request.bytes.in.flight.max`.
queued.max.requests int 500 >=1 ro -
  Requests that may wait before the network is not read any more.
quota.window.num int 11 >=1 ro 1
  Samples kept to measure client quotas.
quota.window.size.seconds int 1 >=1 ro 1
  Length of one such sample.
remote.fetch.max.wait.ms int 500 >=1 cluster -
  Longest wait for a read from tiered storage.
remote.list.offsets.request.timeout.ms long 30000 >=1 cluster -
  Longest wait for an offset lookup in tiered storage.
remote.log.index.file.cache.total.size.bytes long 1073741824 >=1 cluster -
  Disk space for indexes fetched from tiered storage.
remote.log.manager.copier.thread.pool.size int 10 >=1 cluster -
  Threads that copy segments to tiered storage.
remote.log.manager.copy.max.bytes.per.second long 9223372036854775807 >=1 cluster -
  Segments are copied to tiered storage no faster than this.
remote.log.manager.copy.quota.window.num int 11 >=1 ro -
  Samples kept to measure copies to tiered storage.
remote.log.manager.copy.quota.window.size.seconds int 1 >=1 ro -
  Length of one such sample.
remote.log.manager.expiration.thread.pool.size int 10 >=1 cluster -
  Threads that delete expired segments in tiered storage.
remote.log.manager.fetch.max.bytes.per.second long 9223372036854775807 >=1 cluster -
  Reads from tiered storage are no faster than this.
remote.log.manager.fetch.quota.window.num int 11 >=1 ro -
  Samples kept to measure reads from tiered storage.
remote.log.manager.fetch.quota.window.size.seconds int 1 >=1 ro -
  Length of one such sample.
remote.log.manager.follower.thread.pool.size int 2 >=1 cluster -
  Threads that follow the progress of tiered storage for followers.
remote.log.manager.task.interval.ms long 30000 >=1 ro -
  Pause between two runs of the tiered storage tasks.
remote.log.manager.thread.pool.size int 2 >=1 ro -
  Threads that schedule the tiered storage tasks.
remote.log.metadata.custom.metadata.max.bytes int 128 >=0 ro -
  Most bytes of a plug-in's own metadata for one segment.
remote.log.metadata.manager.class.name string = nonempty ro -
  = org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager
  Java class that keeps the metadata of tiered storage.
remote.log.metadata.manager.class.path string - - ro -
  Where the Java class for tiered metadata is loaded from.
remote.log.metadata.manager.impl.prefix string rlmm.config. nonempty ro -
  Prefix of the names handed to the tiered metadata class.
remote.log.metadata.manager.listener.name string - nonempty ro -
  Listener that the tiered metadata class connects to.
remote.log.reader.max.pending.tasks int 100 >=1 ro -
  Reads from tiered storage that may wait.
remote.log.reader.threads int 10 >=1 cluster -
  Threads that read from tiered storage.
remote.log.storage.manager.class.name string - nonempty ro -
  Java class that stores segments in tiered storage.
remote.log.storage.manager.class.path string - - ro -
  Where the Java class for tiered storage is loaded from.
remote.log.storage.manager.impl.prefix string rsm.config. nonempty ro -
  Prefix of the names handed to the tiered storage class.
remote.log.storage.system.enable bool false - ro -
  Turn tiered storage on.
replica.fetch.backoff.ms int 1000 >=0 ro -
  Pause of a follower after a failed fetch.
replica.fetch.max.bytes int 1048576 >=0 ro -
  Bytes that a follower asks for in each partition.
replica.fetch.min.bytes int 1 - ro -
  Least bytes that a follower waits for.
replica.fetch.response.max.bytes int 10485760 >=0 ro -
  Most bytes that a follower asks for in one fetch.
replica.fetch.wait.max.ms int 500 - ro -
  Longest wait of a follower's fetch.
replica.high.watermark.checkpoint.interval.ms long 5000 - ro -
  Pause between two writes of the high watermark checkpoint.
replica.lag.time.max.ms long 30000 - ro -
  A follower that has not caught up for this long leaves the ISR.
replica.selector.class string - - ro -
  Java class that picks the replica that a consumer reads from.
replica.socket.receive.buffer.bytes int 65536 - ro -
  Receive buffer of a follower's socket.
replica.socket.timeout.ms int 30000 - ro -
  Socket timeout of a follower's requests.
replication.quota.window.num int 11 >=1 ro -
  Samples kept to measure replication quotas.
replication.quota.window.size.seconds int 1 >=1 ro -
  Length of one such sample.
request.timeout.ms int 30000 - ro -
  Longest wait of the broker for the answer to a request of its own.
sasl.client.callback.handler.class class - - ro -
  Java class with callbacks of the SASL client.
sasl.enabled.mechanisms list GSSAPI - broker 1
  SASL mechanisms that are offered.
sasl.jaas.config password - - broker 1
  Login settings in JAAS form; set it for a listener and mechanism.
sasl.kerberos.kinit.cmd string /usr/bin/kinit - broker -
  Path of kinit.
sasl.kerberos.min.time.before.relogin long 60000 - broker -
  Least pause between two Kerberos logins.
sasl.kerberos.principal.to.local.rules list DEFAULT - broker -
  Rules that map Kerberos principals to user names.
sasl.kerberos.service.name string - - broker -
  Kerberos name of the service.
sasl.kerberos.ticket.renew.jitter double 0.05 - broker -
  Random part of the time at which a ticket is renewed.
sasl.kerberos.ticket.renew.window.factor double 0.8 - broker -
  Part of a ticket's life after which it is renewed.
sasl.login.callback.handler.class class - - ro -
  Java class with callbacks of the SASL login.
sasl.login.class class - - ro -
  Java class that logs in.
sasl.login.connect.timeout.ms int - - ro -
  Longest wait to connect to the identity provider.
sasl.login.read.timeout.ms int - - ro -
  Longest wait for an answer of the identity provider.
sasl.login.refresh.buffer.seconds short 300 - broker -
  Time kept free before a credential ends when it is refreshed.
sasl.login.refresh.min.period.seconds short 60 - broker -
  Least pause between two refreshes of a credential.
sasl.login.refresh.window.factor double 0.8 - broker -
  Part of a credential's life after which it is refreshed.
sasl.login.refresh.window.jitter double 0.05 - broker -
  Random part of the time at which a credential is refreshed.
sasl.login.retry.backoff.max.ms long 10000 - ro -
  Longest pause between two login attempts.
sasl.login.retry.backoff.ms long 100 - ro -
  First pause between two login attempts.
sasl.mechanism.controller.protocol string GSSAPI - ro -
  SASL mechanism towards controllers.
sasl.mechanism.inter.broker.protocol string GSSAPI - broker -
  SASL mechanism between brokers.
sasl.oauthbearer.assertion.algorithm string RS256 {ES256,RS256}i ro -
  Algorithm that signs the assertion of an OAuth client.
sasl.oauthbearer.assertion.claim.aud string - - ro -
  Audience claim of the assertion.
sasl.oauthbearer.assertion.claim.exp.seconds int 300 0..86400 ro -
  How long the assertion is valid.
sasl.oauthbearer.assertion.claim.iss string - - ro -
  Issuer claim of the assertion.
sasl.oauthbearer.assertion.claim.jti.include bool false - ro -
  Give the assertion a unique id.
sasl.oauthbearer.assertion.claim.nbf.seconds int 60 0..3600 ro -
  How far in the past the assertion begins to be valid.
sasl.oauthbearer.assertion.claim.sub string - - ro -
  Subject claim of the assertion.
sasl.oauthbearer.assertion.file string - - ro -
  File that holds a ready assertion.
sasl.oauthbearer.assertion.private.key.file string - - ro -
  File with the key that signs the assertion.
sasl.oauthbearer.assertion.private.key.passphrase password - - ro -
  Password of that key.
sasl.oauthbearer.assertion.template.file string - - ro -
  File with header and claims that the assertion starts from.
sasl.oauthbearer.client.credentials.client.id string - - ro -
  Client id of the OAuth client credentials grant.
sasl.oauthbearer.client.credentials.client.secret password - - ro -
  Client secret of the OAuth client credentials grant.
sasl.oauthbearer.clock.skew.seconds int 30 - ro 1
  Difference of clocks that is tolerated when a token is checked.
sasl.oauthbearer.expected.audience list '' - ro 1
  A token must be meant for one of these audiences.
sasl.oauthbearer.expected.issuer string - - ro 1
  A token must come from this issuer.
sasl.oauthbearer.jwks.endpoint.refresh.ms long 3600000 - ro 1
  Pause between two reads of the key set.
sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms long 10000 - ro 1
  Longest pause between two attempts to read the key set.
sasl.oauthbearer.jwks.endpoint.retry.backoff.ms long 100 - ro 1
  First pause between two attempts to read the key set.
sasl.oauthbearer.jwks.endpoint.url string - - ro 1
  Address of the key set that tokens are checked with.
sasl.oauthbearer.jwt.retriever.class class = - ro -
  = org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever
  Java class that fetches tokens.
sasl.oauthbearer.jwt.validator.class class = - ro -
  = org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator
  Java class that checks tokens.
sasl.oauthbearer.scope string - - ro -
  Scope that an OAuth client asks for.
sasl.oauthbearer.scope.claim.name string scope - ro 1
  Claim of a token that holds its scope.
sasl.oauthbearer.sub.claim.name string sub - ro 1
  Claim of a token that names the user.
sasl.oauthbearer.token.endpoint.url string - - ro -
  Address that an OAuth client fetches tokens from.
sasl.server.callback.handler.class class - - ro -
  Java class with callbacks of a SASL mechanism.
sasl.server.max.receive.size int 524288 - ro 1
  Largest frame before a connection is authenticated.
security.inter.broker.protocol string PLAINTEXT {PLAINTEXT,SSL,SASL_PLAINTEXT,SASL_SSL} ro -
  Security protocol between brokers, when no listener name is given.
security.providers string - - ro -
  Java classes of security providers.
share.coordinator.append.linger.ms int -1 >=-1 ro -
  How long the share coordinator gathers records before it writes; -1 adapts.
share.coordinator.cached.buffer.max.bytes int 1048588 >=524288 cluster -
  Largest write buffer that the share coordinator keeps.
share.coordinator.load.buffer.size int 5242880 >=1 ro -
  Bytes read at a time while share state is loaded.
share.coordinator.snapshot.update.records.per.snapshot int 500 0..500 ro 1
  Update records between two snapshots of share state.
share.coordinator.state.topic.compression.codec int 0 - ro 1
  Codec of the share state topic, as a number.
share.coordinator.state.topic.min.isr short 2 >=1 ro 1
  Least in-sync replicas of the share state topic.
share.coordinator.state.topic.num.partitions int 50 >=1 ro 1
  Partitions of the share state topic.
share.coordinator.state.topic.replication.factor short 3 >=1 ro 1
  Replicas of the share state topic.
share.coordinator.state.topic.segment.bytes int 104857600 >=1 ro 1
  Segment size of the share state topic.
share.coordinator.threads int 1 >=1 ro -
  Threads of the share coordinator.
share.coordinator.write.timeout.ms int 5000 >=1 ro 1
  Longest wait for share state to reach all replicas.
share.fetch.purgatory.purge.interval.requests int 1000 - ro -
  Finished share fetch waits that may pile up before they are purged.
socket.connection.setup.timeout.max.ms long 30000 - ro -
  Longest wait for a connection to another node.
socket.connection.setup.timeout.ms long 10000 - ro -
  First wait for a connection to another node.
socket.listen.backlog.size int 50 >=1 ro 1
  Connections that may wait to be accepted.
socket.receive.buffer.bytes int 102400 - ro 1
  Receive buffer of a socket; where it is not set, or -1, the system decides.
socket.request.max.bytes int 104857600 >=1 ro 1
  Largest request; a longer one closes the connection.
socket.send.buffer.bytes int 102400 - ro 1
  Send buffer of a socket; where it is not set, or -1, the system decides.
ssl.allow.dn.changes bool false - ro -
  A new certificate may have another distinguished name.
ssl.allow.san.changes bool false - ro -
  A new certificate may have other alternative names.
ssl.cipher.suites list '' - broker 1
  Cipher suites that are offered; empty means the library's choice.
ssl.client.auth string none {required,requested,none} broker 1
  Whether clients must, may or need not show a certificate.
ssl.enabled.protocols list TLSv1.2,TLSv1.3 - broker 1
  TLS versions that are offered.
ssl.endpoint.identification.algorithm string https - broker -
  How the name of a peer is checked against its certificate.
ssl.engine.factory.class class - - broker -
  Java class that makes TLS engines.
ssl.key.password password - - broker 1
  Password of the private key.
ssl.keymanager.algorithm string SunX509 - broker -
  Algorithm of Java's key manager.
ssl.keystore.certificate.chain password - - broker 1
  Certificates of this node, in PEM.
ssl.keystore.key password - - broker 1
  Private key of this node, in PEM.
ssl.keystore.location string - - broker 1
  File with key and certificates of this node.
ssl.keystore.password password - - broker 1
  Password of that file.
ssl.keystore.type string JKS - broker 1
  Format of that file: JKS, PKCS12 or PEM.
ssl.principal.mapping.rules string DEFAULT - ro 1
  Rules that map the name in a client's certificate to a user name.
ssl.protocol string TLSv1.3 - broker -
  TLS version to start from.
ssl.provider string - - broker -
  Java security provider for TLS.
ssl.secure.random.implementation string - - broker -
  Java's source of randomness for TLS.
ssl.trustmanager.algorithm string PKIX - broker -
  Algorithm of Java's trust manager.
ssl.truststore.certificates password - - broker 1
  Certificates that are trusted, in PEM.
ssl.truststore.location string - - broker 1
  File with certificates that are trusted.
ssl.truststore.password password - - broker 1
  Password of that file.
ssl.truststore.type string JKS - broker 1
  Format of that file: JKS, PKCS12 or PEM.
telemetry.max.bytes int 1048576 >=1 ro 1
  Most bytes of metrics that a client may push at once.
transaction.abort.timed.out.transaction.cleanup.interval.ms int 10000 >=1 ro 1
  Pause between two searches for transactions that timed out.
transaction.max.timeout.ms int 900000 >=1 ro 1
  Longest transaction timeout that a producer may ask for.
transaction.partition.verification.enable bool true - cluster 1
  Check that a partition belongs to the transaction before its records are written.
transaction.remove.expired.transaction.cleanup.interval.ms int 3600000 >=1 ro 1
  Pause between two searches for expired transactional ids.
transaction.state.log.load.buffer.size int 5242880 >=1 ro -
  Bytes read at a time while transactions are loaded.
transaction.state.log.min.isr int 2 >=1 ro 1
  Least in-sync replicas of the transaction topic.
transaction.state.log.num.partitions int 50 >=1 ro 1
  Partitions of the transaction topic.
transaction.state.log.replication.factor short 3 >=1 ro 1
  Replicas of the transaction topic.
transaction.state.log.segment.bytes int 104857600 >=1 ro 1
  Segment size of the transaction topic.
transaction.two.phase.commit.enable bool false - ro -
  Let producers keep prepared transactions open without a timeout.
transactional.id.expiration.ms int 604800000 >=1 ro 1
  A transactional id without use for this long is forgotten.
unclean.leader.election.enable bool false - cluster -
  Let a replica lead that is not in sync, at the price of lost records.
"""

INTERNAL = """\
controller.performance.always.log.threshold.ms int 2000 - ro -
  Controller operations slower than this are always logged.
controller.performance.sample.period.ms long 60000 - ro -
  Length of a sample of the controller's timings.
group.consumer.regex.refresh.interval.ms int 600000 >=10000 ro -
  Pause between two evaluations of subscriptions by pattern.
group.share.initialize.retry.interval.ms int 30000 >=1 ro -
  Pause before the state of a share group is initialized again.
group.share.persister.class.name string org.apache.kafka.server.share.persister.DefaultStatePersister - ro -
  Java class that stores the state of share groups.
internal.metadata.delete.delay.millis long 60000 >=0 ro -
  Wait before an old metadata segment or snapshot is removed.
internal.metadata.log.segment.bytes int - - ro -
  Segment size of the metadata log, without the usual lower bound.
internal.metadata.max.batch.size.in.bytes int 8388608 >=1 ro -
  Largest batch of the metadata log.
log.initial.task.delay.ms long 30000 >=0 ro -
  Wait after the start before the log's periodic work begins.
producer.id.expiration.check.interval.ms int 600000 >=1 ro -
  Pause between two searches for producers to forget.
remote.log.index.file.cache.ttl.ms long 900000 >=1 ro -
  How long an unused index from tiered storage is kept.
remote.log.manager.task.retry.backoff.max.ms long 30000 >=1 ro -
  Longest pause before a tiered storage task runs again.
remote.log.manager.task.retry.backoff.ms long 500 >=1 ro -
  First pause before a tiered storage task runs again.
remote.log.manager.task.retry.jitter double 0.2 0..0.5 ro -
  Random part of that pause.
server.max.startup.time.ms long 9223372036854775807 >=1 ro -
  Longest time that a start may take.
share.coordinator.cold.partition.snapshot.interval.ms int 300000 >=1 ro -
  Pause between snapshots of share state that is not used.
share.coordinator.state.topic.prune.interval.ms int 300000 >=1 ro -
  Pause between two searches for share state that can be deleted.
unclean.leader.election.interval.ms long 300000 >=1 ro -
  Pause between two searches for partitions that need an unclean election.
unstable.api.versions.enable bool false - ro -
  Serve versions of APIs that are still in development.
unstable.feature.versions.enable bool false - ro -
  Offer feature levels that are still in development.
"""

# Names that dynamic configuration knows and that the properties file does not: replication quotas.
DYNAMIC_ONLY = """\
follower.replication.throttled.rate long 9223372036854775807 >=0 cluster -
  Bytes per second that throttled followers fetch at most.
leader.replication.throttled.rate long 9223372036854775807 >=0 cluster -
  Bytes per second that throttled leaders send at most.
replica.alter.log.dirs.io.max.bytes.per.second long 9223372036854775807 >=0 cluster -
  Bytes per second that moves between log directories take at most.
"""

# Read by the authorizer, so accepted in the properties file, and never listed.
AUTHORIZER = """\
allow.everyone.if.no.acl.found bool false - ro -
  Allow what no ACL speaks about.
super.users string '' - ro -
  Users that may do everything, as User:name;User:name.
"""
