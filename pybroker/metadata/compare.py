"""The difference between two images that are not one commit apart, as after a snapshot was installed.

In: two images. Out: the `MetadataDelta` that leads from the first to the second. What must hold: it is what
replaying the records between them would have told, all at once.
"""

from __future__ import annotations

from pybroker.metadata.delta import MetadataDelta, TopicChange
from pybroker.metadata.image import TOPIC_RESOURCE, ConfigKey, MetadataImage, TopicImage


def compare(old: MetadataImage, new: MetadataImage) -> MetadataDelta:
    """Costs a pass over both images."""
    created: list[TopicImage] = []
    changed: list[TopicChange] = []
    for topic in new.topics.values():
        before = old.topics_by_id.get(topic.topic_id)
        if before is None:
            created.append(topic)
        elif before != topic:
            changed.append(TopicChange(before, topic))
    deleted = [topic for topic in old.topics.values() if topic.topic_id not in new.topics_by_id]

    def stays(key: ConfigKey) -> bool:
        if key[0] != TOPIC_RESOURCE:
            return True
        before, after = old.topics.get(key[1]), new.topics.get(key[1])
        return before is not None and after is not None and before.topic_id == after.topic_id

    configs = [key for key, values in new.configs.items() if old.configs.get(key) != values and stays(key)]
    configs += [key for key in old.configs if key not in new.configs and stays(key)]
    return MetadataDelta(
        tuple(created),
        tuple(deleted),
        tuple(changed),
        tuple(configs),
        old.brokers != new.brokers,
        old.features != new.features,
    )
