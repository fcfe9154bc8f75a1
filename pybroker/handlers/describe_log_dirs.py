"""DescribeLogDirs (key 35), versions 1-5.

Behaviour: every log directory is listed, with the partitions asked for that it holds, or all of them when the
topics are null; unknown ones are left out. A directory that failed has KAFKA_STORAGE_ERROR and no partitions.
"""

from __future__ import annotations

from pybroker.handlers.context import Context, Request, Steps, in_slices
from pybroker.handlers.describe_configs import effective_config
from pybroker.wire.messages.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)


@in_slices
def handle(context: Context, request: Request) -> Steps[DescribeLogDirsResponse]:
    message: DescribeLogDirsRequest = request.message
    asked: dict[str, set[int]] | None = None
    if message.topics is not None:
        asked = {}
        for wanted in message.topics:
            yield
            asked.setdefault(wanted.topic, set()).update(wanted.partitions)
    cordoned = effective_config(context.config, context.metadata, context.broker_id)["cordoned.log.dirs"]
    results = []
    for report in context.logs.log_dirs_report():
        topics: dict[str, DescribeLogDirsTopic] = {}
        for log in report.logs:
            yield
            if asked is not None and log.partition not in asked.get(log.topic, ()):
                continue
            topic = topics.setdefault(log.topic, DescribeLogDirsTopic(name=log.topic))
            topic.partitions.append(
                DescribeLogDirsPartition(
                    partition_index=log.partition,
                    partition_size=log.size_bytes,
                    offset_lag=log.offset_lag,
                    is_future_key=log.is_future,
                )
            )
        results.append(
            DescribeLogDirsResult(
                error_code=report.error,
                log_dir=report.path,
                topics=list(topics.values()),
                total_bytes=report.total_bytes,
                usable_bytes=report.usable_bytes,
                is_cordoned="*" in cordoned or report.path in cordoned,
            )
        )
    return DescribeLogDirsResponse(results=results)
