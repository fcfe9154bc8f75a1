"""The metadata quorum and its controllers, several nodes in one process: elections, lost leaders, snapshots,
restarts. `PYBROKER_QUORUM_SEEDS=1000` takes so many random schedules; without it three are taken."""

from __future__ import annotations

import os
import random

import pytest

from tests.sim.quorum_world import METADATA, World

NOT_CONTROLLER = 41
TOPIC_ALREADY_EXISTS = 36
SEEDS = int(os.environ.get("PYBROKER_QUORUM_SEEDS", "3"))


def with_topics(world, *names):
    """A broker is registered and the topics are there; the active controller's member."""
    leader = world.elect()
    leader.register(7)
    answers = [leader.create(name) for name in names]
    world.until(lambda: all(answer.done for answer in answers))
    assert [answer.value for answer in answers] == [0] * len(names)
    return leader


@pytest.mark.parametrize("kraft_version", [0, 1])
def test_all_have_the_image_of_the_leader(kraft_version):
    world = World(1, observers=2, kraft_version=kraft_version)
    assert not any(member.controller.active for member in world.members.values())
    leader = with_topics(world, "a", "b")
    world.until(world.settled)
    for member in world.members.values():
        assert list(member.quorum.image.topics) == ["a", "b"]
        assert member.quorum.caught_up
        assert member.quorum.leader == (leader.node_id, leader.quorum.epoch, leader.address)
        assert member.controller.active is (member is leader)
    assert leader.quorum.image.features.get("kraft.version", 0) == kraft_version
    # Whoever does not lead says so, and changes nothing.
    other = next(member for member in world.members.values() if member is not leader)
    assert other.create("c").value == NOT_CONTROLLER
    # Only the first leader has bootstrapped, and every leader registers itself.
    assert list(leader.quorum.image.controllers) == [leader.node_id]


def test_another_controller_takes_over():
    world = World(2)
    leader = with_topics(world, "a")
    leader.stop()
    second = world.elect()
    assert second is not leader
    assert second.quorum.epoch > 1
    assert second.create("a").done is False
    answer = second.create("b")
    world.until(lambda: answer.done)
    leader.start()
    world.until(world.settled)
    assert list(leader.quorum.image.topics) == ["a", "b"]
    assert not leader.controller.active


def test_what_waits_when_the_leadership_is_lost_is_refused_and_not_done_twice():
    world = World(3)
    leader = with_topics(world, "a")
    ids = leader.quorum.image.next_producer_id
    world.isolate(leader.node_id)
    answers = [leader.create("b"), leader.create("a"), leader.controller.allocate_producer_ids()]
    world.run(1_000)
    # It still believes to lead: nothing is committed, so nothing is answered, and nobody sees it.
    assert leader.controller.active
    assert not any(answer.done for answer in answers)
    assert "b" not in leader.quorum.image.topics
    world.until(lambda: all(answer.done for answer in answers), 5_000)
    assert [answers[0].value, answers[1].value] == [NOT_CONTROLLER] * 2
    assert answers[2].value == (-1, 0)
    assert not leader.controller.active
    assert leader.create("x").value == NOT_CONTROLLER
    second = world.elect()
    again = second.create("b")
    world.until(lambda: again.done)
    assert again.value == 0
    topic_id = second.quorum.image.topics["b"].topic_id
    world.settle()
    assert leader.quorum.image.topics["b"].topic_id == topic_id
    assert leader.quorum.image.next_producer_id == ids


def test_a_decision_that_was_refused_may_still_be_committed_and_only_once():
    """The followers have it, and the leader does not hear so any more."""
    world = World(4)
    leader = with_topics(world, "a")
    others = [node_id for node_id in world.members if node_id != leader.node_id]
    answer = leader.create("b")
    end = leader.log.end_offset
    # It can still tell, and is not told anything.
    world.until(lambda: all(world.members[node_id].log.end_offset == end for node_id in others))
    world.cut = {(node_id, leader.node_id) for node_id in others}
    world.until(lambda: answer.done)
    assert answer.value in (0, NOT_CONTROLLER)
    world.until(lambda: world.active() not in (None, leader))
    second = world.active()
    again = second.create("b")
    world.until(lambda: again.done)
    assert again.value == TOPIC_ALREADY_EXISTS
    world.settle()


def test_a_leader_resigns_in_favour_of_another():
    world = World(5)
    leader = with_topics(world, "a")
    before = world.now
    leader.quorum.shut_down()
    assert not leader.controller.active
    second = world.elect()
    assert second is not leader
    # Nobody waited for a timeout.
    assert world.now - before < 500


@pytest.mark.parametrize("how", ["observer", "voter"])
def test_a_snapshot_replaces_what_a_node_does_not_have(how):
    world = World(6, observers=1, snapshot_bytes=3_000, keep_deltas=True)
    leader = with_topics(world, "a", "b", "c")
    behind = (
        world.members[4]
        if how == "observer"
        else next(member for member in world.members.values() if member is not leader and member.node_id < 4)
    )
    world.until(world.settled)
    behind.stop()
    if how == "observer":
        behind.replace_disk()
    for number in range(60):
        answer = leader.create(f"t{number}")
        world.until(lambda answer=answer: answer.done)
    world.until(lambda: leader.log.start_offset > 20)
    behind.start()
    before = dict(behind.quorum.image.topics)
    world.until(world.settled)
    assert behind.log.start_offset > 20
    assert behind.quorum.image == leader.quorum.image
    # The deltas lead from the first image to the last.
    topics = dict(before)
    for _, delta in behind.published:
        for gone in delta.deleted_topics:
            del topics[gone.name]
        for made in delta.created_topics:
            topics[made.name] = made
        for change in delta.changed_topics:
            topics[change.new.name] = change.new
    assert topics == dict(behind.quorum.image.topics)
    # And again from its own disk.
    behind.stop()
    behind.start()
    assert behind.quorum.image.offset > 20
    world.settle()


def test_all_at_once_lose_their_power():
    world = World(7, snapshot_bytes=3_000)
    leader = with_topics(world, *(f"t{number}" for number in range(10)))
    image = leader.quorum.image
    for member in world.members.values():
        member.stop(power=True)
    for member in world.members.values():
        member.start()
    second = world.settle()
    assert dict(second.quorum.image.topics) == dict(image.topics)
    assert second.quorum.image.configs == image.configs


def test_a_disk_that_refuses_ends_the_part_of_one_node_only():
    world = World(8)
    leader = with_topics(world, "a")
    leader.quorum.storage_failed(OSError("sync failed"))
    assert leader.create("b").value == 56
    second = world.elect()
    answer = second.create("b")
    world.until(lambda: answer.done)
    assert answer.value == 0


def test_a_full_disk_delays_a_vote():
    """What cannot be stored is not told; nothing is given up."""
    world = World(9, start=False)
    full = world.members[1]
    for member in world.members.values():
        member.start()
    for member in list(world.members.values())[1:]:
        member.stop()
    full.disk.fault = lambda kind, path, number: 28 if "quorum-state" in path else 0
    world.members[2].start()
    world.run(5_000)
    assert any("cannot be stored yet" in line for line in full.reports)
    assert full.quorum.failure is None
    full.disk.fault = None
    world.elect()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_schedules(seed):
    assert schedule(seed) is not None


def test_the_same_seed_is_the_same_run():
    assert schedule(1, steps=25) == schedule(1, steps=25)


def schedule(seed, steps=60):
    """Kills, power cuts, partitions and new disks while topics are made; the hash of what was sent."""
    rng = random.Random(f"schedule {seed}")
    world = World(
        seed,
        voters=rng.choice((1, 3, 3, 5)),
        observers=rng.choice((0, 1, 2)),
        kraft_version=rng.choice((0, 1)),
        snapshot_bytes=rng.choice((1_500, 6_000, 1 << 30)),
    )
    world.elect().register(7)
    asked = {}
    for number in range(steps):
        member = rng.choice(list(world.members.values()))
        action = rng.random()
        down = sum(not other.running for other in world.members.values() if other.node_id in world.voter_ids)
        if action < 0.10 and down == 0:
            member.stop(power=rng.random() < 0.5)
            if member.node_id not in world.voter_ids and rng.random() < 0.5:
                member.replace_disk()
        elif action < 0.15:
            leader = world.active()
            if leader is not None and down == 0:
                leader.stop(power=rng.random() < 0.5)
        elif action < 0.3:
            for other in world.members.values():
                if not other.running:
                    other.start()
        elif action < 0.38:
            world.isolate(member.node_id)
        elif action < 0.42:
            leader = world.active()
            if leader is not None:
                world.isolate(leader.node_id)
        elif action < 0.55:
            world.heal()
        elif action < 0.58:
            leader = world.active()
            if leader is not None:
                leader.quorum.resign()
        else:
            leader = world.active()
            if leader is not None and leader.running:
                asked[f"t{number}"] = leader.create(f"t{number}")
        world.run(rng.choice((1, 10, 50, 400, 2_500)))
    leader = world.settle()
    for name, answer in asked.items():
        if answer.done and answer.value == 0:
            assert name in leader.quorum.image.topics
    reports = [line for member in world.members.values() for line in member.reports]
    assert not [line for line in reports if line.startswith("metadata quorum:")]
    assert all(member.disk.exists(f"{METADATA}/quorum-state") for member in world.members.values())
    return world.trace.hexdigest()
