"""The difference between two images, for those who must act on it: create a log, apply a setting.

In: an `ImageBuilder` that has replayed records. Out: `MetadataDelta`. What must hold: deletions first, then
creations, then changes, applied to the old set of topics, give the new one. A topic that was deleted and
created again under its name is in both lists, with two ids; one that came and went is in neither.
"""

from __future__ import annotations

from typing import NamedTuple

from pybroker.metadata.image import ConfigKey, TopicImage


class TopicChange(NamedTuple):
    """A topic whose partitions changed: more of them, or other leaders, epochs, replicas."""

    old: TopicImage
    new: TopicImage


class MetadataDelta(NamedTuple):
    """What one commit changed; every list is in the order of the records."""

    created_topics: tuple[TopicImage, ...] = ()
    deleted_topics: tuple[TopicImage, ...] = ()
    changed_topics: tuple[TopicChange, ...] = ()
    changed_configs: tuple[ConfigKey, ...] = ()
    """Resources whose overrides changed, without those of topics that are new or gone."""
    brokers_changed: bool = False
    features_changed: bool = False

    @property
    def empty(self) -> bool:
        return self == _EMPTY


_EMPTY = MetadataDelta()
