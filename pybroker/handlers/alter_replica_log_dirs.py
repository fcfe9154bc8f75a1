"""AlterReplicaLogDirs (key 34), versions 1-2.

Behaviour: moves replicas of this broker to another of its log directories; the answer says that the move has
begun. A move to the directory where a replica is ends one under way, one to a third directory begins anew. Of
a partition that is named twice the last destination counts. Refused: a path that is not in log.dirs
(LOG_DIR_NOT_FOUND), one that failed or has no space, or a replica whose own did (KAFKA_STORAGE_ERROR), a
cordoned one (INVALID_REPLICA_ASSIGNMENT, KIP-1066), names too long for a future log
(INVALID_TOPIC_EXCEPTION). A replica that is not here (REPLICA_NOT_AVAILABLE, or UNKNOWN_TOPIC_OR_PARTITION
where there is none at all) is made there when it comes.
"""

from __future__ import annotations

from typing import Final

from pybroker.common.errors import ErrorCode, StorageError
from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.wire.messages.alter_replica_log_dirs import (
    AlterReplicaLogDirPartitionResult,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
    AlterReplicaLogDirTopicResult,
)

_NAME_MAX: Final = 255
_SUFFIX_LENGTH: Final = len(".-future") + 32


@in_slices
def handle(context: Context, request: Request) -> Steps[AlterReplicaLogDirsResponse]:
    message: AlterReplicaLogDirsRequest = request.message
    wanted: dict[str, dict[int, str]] = {}
    for directory in message.dirs:
        for topic in directory.topics:
            yield
            destinations = wanted.setdefault(topic.name, {})
            for index in topic.partitions:
                destinations[index] = directory.path
    results = []
    for name, destinations in wanted.items():
        answers = []
        for index, path in destinations.items():
            yield
            code = _alter(context, name, index, path)
            answers.append(AlterReplicaLogDirPartitionResult(partition_index=index, error_code=code))
        if answers:
            results.append(AlterReplicaLogDirTopicResult(topic_name=name, partitions=answers))
    return AlterReplicaLogDirsResponse(results=results)


def _alter(context: Context, topic: str, index: int, path: str) -> ErrorCode:
    if len(f"{topic}-{index}") + _SUFFIX_LENGTH > _NAME_MAX:
        return ErrorCode.INVALID_TOPIC_EXCEPTION
    logs = context.logs
    directory = logs.directory_at(path)
    if directory is None:
        return ErrorCode.LOG_DIR_NOT_FOUND
    if directory.offline:
        return ErrorCode.KAFKA_STORAGE_ERROR
    if path in logs.cordoned:
        return ErrorCode.INVALID_REPLICA_ASSIGNMENT
    partition = context.partition(topic, index)
    if partition is None:
        logs.prefer(topic, index, directory)
        code = context.missing(topic, index)
        return ErrorCode.REPLICA_NOT_AVAILABLE if code == ErrorCode.NOT_LEADER_OR_FOLLOWER else code
    if partition.log.offline:
        return ErrorCode.KAFKA_STORAGE_ERROR
    try:
        context.moves.start(partition, directory)
    except StorageError as error:
        logs.environment.report(f"{partition.log.name}: not moved to {path}: {error}")
        return ErrorCode.KAFKA_STORAGE_ERROR
    return ErrorCode.NONE
