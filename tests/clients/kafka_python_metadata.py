"""One correction of kafka-python 3.0.12, which can lose a subscription for five minutes.

A topic that is subscribed to while a Metadata request of the client's own is under way (the one its bootstrap
sends, when the thread that builds the consumer is late) is not in that request, but its response clears the flag
that says an update is needed (`ClusterMetadata.set_topics` carries a TODO about it). Nothing asks for the topic
before `metadata.max.age.ms`, so the consumer sees nothing: one run in 150 on a loaded machine, whatever the
broker. Corrected, the client asks once more when a response answers an older question than the present one; it
does nothing else, and nothing at all when the race is not lost.

Loaded by `pytest -p` into the client's own test suite; `install` serves tests here that subscribe.
"""

from __future__ import annotations

from typing import Any

from kafka.cluster import ClusterMetadata


def corrected(original: type[ClusterMetadata]) -> dict[str, Any]:
    """The two methods of the class with the correction around them."""
    metadata_request, update_metadata = original.metadata_request, original.update_metadata

    def remember_request(self: Any) -> Any:
        self.asked_for = None if self.need_all_topic_metadata else frozenset(self._topics)
        return metadata_request(self)

    def ask_again(self: Any, response: Any) -> Any:
        asked_for = getattr(self, "asked_for", None)
        result = update_metadata(self, response)
        if asked_for is not None and (self.need_all_topic_metadata or not self._topics <= asked_for):
            self.request_update()
        return result

    return {"metadata_request": remember_request, "update_metadata": ask_again}


def install() -> None:
    """Idempotent."""
    if not hasattr(ClusterMetadata, "asked_for"):
        for name, method in corrected(ClusterMetadata).items():
            setattr(ClusterMetadata, name, method)
        ClusterMetadata.asked_for = None


def pytest_configure() -> None:
    install()
