"""Classic groups: docs of the wire answers (FindCoordinator, Join, Sync, Heartbeat, Leave, List, Describe)."""

from __future__ import annotations

import re
import time

import pytest

from tests.processes import wait_until
from tests.protocol import groups, raw
from tests.protocol.groups import (
    DELETE_GROUPS,
    DESCRIBE_GROUPS,
    HEARTBEAT,
    JOIN_GROUP,
    LEAVE_GROUP,
    LIST_GROUPS,
    SYNC_GROUP,
    Member,
    alone,
    call,
    join_request,
    protocols,
    sync_request,
)
from tests.protocol.raw import FIND_COORDINATOR, Connection

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture
def group(connection: Connection) -> str:
    """A group id whose coordinator is up."""
    name = raw.unique("g")
    groups.find_coordinator(connection, name)
    return name


def join(connection: Connection, group: str, version: int = 9, **options):
    """An answer to a JoinGroup that does not have to wait."""
    member = options.pop("member", "")
    return call(connection, JOIN_GROUP, version, join_request(group, member, **options))


# FindCoordinator


@pytest.mark.parametrize("version", range(7))
def test_find_coordinator(connection, group, address, version):
    host, port = raw.parse_address(address)
    if version < 4:
        request = {"key": group, "key_type": 0}
        answer = call(connection, FIND_COORDINATOR, version, request)
        if version:
            assert answer["error_message"] == "NONE"
    else:
        request = {"key_type": 0, "coordinator_keys": [group, ""]}
        found = call(connection, FIND_COORDINATOR, version, request)["coordinators"]
        assert [entry["key"] for entry in found] == [group, ""]
        assert [entry["error_code"] for entry in found] == [0, 0]
        answer = found[0]
        assert answer["error_message"] == ""
    assert (answer["error_code"], answer["port"]) == (0, port)
    assert answer["host"] in (host, "localhost")
    assert answer["node_id"] == 1


@pytest.mark.parametrize("version", [1, 3, 4, 6])
def test_find_coordinator_of_an_unknown_type(connection, group, version):
    request = {"key": group, "key_type": 5, "coordinator_keys": [group]}
    answer = call(connection, FIND_COORDINATOR, version, request)
    if version >= 4:
        (answer,) = answer["coordinators"]
    assert (answer["error_code"], answer["node_id"], answer["host"], answer["port"]) == (42, -1, "", -1)
    assert answer["error_message"].startswith("This most likely occurs because of a request being malformed")


@pytest.mark.parametrize("key", ["", "g", "a:b:c", "g:AAAAAAAAAAAAAAAAAAAAAQ:x"])
def test_find_share_coordinator_of_a_malformed_key(connection, group, key):
    request = {"key_type": 2, "coordinator_keys": [key]}
    (answer,) = call(connection, FIND_COORDINATOR, 6, request)["coordinators"]
    assert (answer["error_code"], answer["node_id"]) == (42, -1)


# JoinGroup


@pytest.mark.parametrize("version", range(4))
def test_join_at_once_in_old_versions(connection, group, version):
    answer = join(connection, group, version)
    assert (answer["error_code"], answer["generation_id"], answer["protocol_name"]) == (0, 1, "range")
    assert re.fullmatch(f"raw-{UUID}", answer["member_id"])
    assert answer["leader"] == answer["member_id"]
    assert [(m["member_id"], m["metadata"]) for m in answer["members"]] == [(answer["member_id"], b"m")]


@pytest.mark.parametrize("version", range(4, 10))
def test_member_id_first(connection, group, version):
    answer = join(connection, group, version)
    assert (answer["error_code"], answer["generation_id"], answer["leader"]) == (79, -1, "")
    assert answer["members"] == []
    assert answer["protocol_name"] == (None if version >= 7 else "")
    member_id = answer["member_id"]
    assert re.fullmatch(f"raw-{UUID}", member_id)
    answer = join(connection, group, version, member=member_id)
    assert (answer["error_code"], answer["generation_id"], answer["member_id"]) == (0, 1, member_id)
    if version >= 7:
        assert answer["protocol_type"] == "consumer"


@pytest.mark.parametrize("version", range(5, 10))
def test_static_member_joins_at_once(connection, group, version):
    answer = join(connection, group, version, instance="i-1")
    assert answer["error_code"] == 0
    assert re.fullmatch(f"i-1-{UUID}", answer["member_id"])
    assert answer["members"][0]["group_instance_id"] == "i-1"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"session": 5_999}, 26),
        ({"session": 1_800_001}, 26),
        ({"session": 0}, 26),
        ({"member": "unknown"}, 25),
        ({"member": "unknown", "instance": "i"}, 25),
        ({"offered": []}, 23),
        ({"kind": ""}, 23),
    ],
)
def test_refused_join_of_a_new_group(connection, group, options, error):
    for version in (0, 4, 6, 7, 9):
        wanted = dict(options)
        if version < 5:
            wanted.pop("instance", None)
        answer = join(connection, group, version, **wanted)
        assert (answer["error_code"], answer["generation_id"], answer["leader"]) == (error, -1, "")
        assert answer["member_id"] == options.get("member", "")
        if version >= 7:
            assert (answer["protocol_type"], answer["protocol_name"]) == (None, None)
        else:
            assert answer["protocol_name"] == ""


def test_join_of_the_empty_group(connection, group):
    for version in (0, 5, 9):
        assert join(connection, "", version)["error_code"] == 24
    # Before the session timeout is looked at.
    assert join(connection, "", 9, session=1)["error_code"] == 24


def test_join_with_another_protocol(connection, group, address):
    alone(address, group)
    assert join(connection, group, offered=protocols("other"))["error_code"] == 23
    assert join(connection, group, kind="connect")["error_code"] == 23
    assert join(connection, group, offered=[])["error_code"] == 23
    assert join(connection, group, member="unknown")["error_code"] == 25
    assert join(connection, group, instance="i", member="unknown")["error_code"] == 25


@pytest.mark.parametrize("kind", ["connect", "sr", "x" * 1000])
def test_any_protocol_type(address, group, connection, kind):
    member = Member(address, group, kind=kind, offered=protocols("p", metadata=b"\x00\xff" * 500))
    answer = member.join()
    assert (answer["protocol_type"], answer["protocol_name"]) == (kind, "p")
    assert answer["members"][0]["metadata"] == b"\x00\xff" * 500
    assert member.sync({member.member_id: b"\xfe" * 3000}) == b"\xfe" * 3000
    (described,) = call(connection, DESCRIBE_GROUPS, 5, {"groups": [group]})["groups"]
    assert (described["protocol_type"], described["protocol_data"]) == (kind, "p")


def test_protocol_with_most_votes(address, group):
    first = Member(address, group, offered=protocols("a", "b", "c"))
    first.join()
    first.sync({})
    others = [Member(address, group, offered=protocols("c", "b")) for _ in range(2)]
    for member in others:
        member.start_join()
    first.start_join()
    answers = [member.end_join() for member in [first, *others]]
    assert {answer["protocol_name"] for answer in answers} == {"c"}
    assert {answer["generation_id"] for answer in answers} == {2}


# A whole group


def test_two_members(address, group, connection):
    first, second = Member(address, group), Member(address, group)
    first.join()
    assert first.generation == 1
    assert first.sync({first.member_id: b"all"}) == b"all"
    assert first.heartbeat() == 0
    second.start_join()
    raw_wait(lambda: first.heartbeat() == 27)
    first.start_join()
    answers = [first.end_join(), second.end_join()]
    assert [answer["error_code"] for answer in answers] == [0, 0]
    assert [answer["generation_id"] for answer in answers] == [2, 2]
    assert [answer["leader"] for answer in answers] == [first.member_id] * 2
    assert sorted(first.members) == sorted([first.member_id, second.member_id])
    assert second.members == []
    # Heartbeats are fine while the leader assigns.
    assert first.heartbeat() == 0
    second.start_sync()
    (described,) = call(connection, DESCRIBE_GROUPS, 5, {"groups": [group]})["groups"]
    assert described["group_state"] == "CompletingRebalance"
    assert (described["protocol_data"], described["members"][0]["member_metadata"]) == ("", b"")
    first.start_sync({first.member_id: b"one", second.member_id: b"two", "nobody": b"x"})
    answer = first.end_sync()
    assert (answer["error_code"], answer["assignment"]) == (0, b"one")
    assert (answer["protocol_type"], answer["protocol_name"]) == ("consumer", "range")
    assert second.end_sync()["assignment"] == b"two"
    # A repeated SyncGroup gets the same again.
    assert second.sync() == b"two"
    assert [first.heartbeat(), second.heartbeat()] == [0, 0]
    (described,) = call(connection, DESCRIBE_GROUPS, 5, {"groups": [group]})["groups"]
    assert (described["error_code"], described["group_state"]) == (0, "Stable")
    assert (described["protocol_type"], described["protocol_data"]) == ("consumer", "range")
    assert described["authorized_operations"] == -2147483648
    found = {m["member_id"]: m for m in described["members"]}
    assert found[first.member_id]["member_assignment"] == b"one"
    assert found[first.member_id]["member_metadata"] == b"m"
    assert found[second.member_id]["client_id"] == "raw"
    assert found[second.member_id]["client_host"] == "/127.0.0.1"
    # The follower's join, unchanged, gets the generation again.
    second.start_join()
    answer = second.end_join()
    assert (answer["generation_id"], answer["members"]) == (2, [])
    second.leave()
    assert first.heartbeat() == 27
    first.join()
    assert (first.generation, first.members) == (3, [first.member_id])
    # The old assignment is not given in the new generation.
    assert first.sync({}) == b""
    first.leave()
    (described,) = call(connection, DESCRIBE_GROUPS, 5, {"groups": [group]})["groups"]
    assert (described["group_state"], described["protocol_type"]) == ("Empty", "consumer")
    assert first.heartbeat() == 25


def raw_wait(condition, timeout: float = 15.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_changed_metadata_of_a_follower_means_a_rebalance(address, group):
    first, second = Member(address, group), Member(address, group)
    first.join()
    first.sync({})
    second.start_join()
    raw_wait(lambda: first.heartbeat() == 27)
    first.start_join()
    first.end_join(), second.end_join()
    second.start_sync()
    first.sync({})
    second.end_sync()
    second.start_join(offered=protocols("range", metadata=b"new"))
    raw_wait(lambda: first.heartbeat() == 27)
    first.join()
    assert first.generation == second.end_join()["generation_id"] == 3
    metadata = {m["member_id"]: m["metadata"] for m in first.answer["members"]}
    assert metadata == {first.member_id: b"m", second.member_id: b"new"}


def test_session_timeout(address, group, connection):
    member = Member(address, group, session=6_000)
    member.join()
    member.sync({})
    raw_wait(lambda: member.heartbeat() == 0)
    start = time.monotonic()
    state = ""
    while state != "Empty":
        (described,) = call(connection, DESCRIBE_GROUPS, 5, {"groups": [group]})["groups"]
        state = described["group_state"]
        assert time.monotonic() - start < 9
        time.sleep(0.05)
    assert time.monotonic() - start > 5.5
    assert member.heartbeat() == 25


def test_member_that_does_not_rejoin_is_out(address, group):
    first = Member(address, group, rebalance=1_000, session=30_000)
    second = Member(address, group, rebalance=1_000, session=30_000)
    first.join()
    first.sync({})
    start = time.monotonic()
    second.start_join()
    answer = second.end_join()
    assert 0.8 < time.monotonic() - start < 5
    assert (answer["error_code"], answer["leader"]) == (0, second.member_id)
    assert second.members == [second.member_id]
    assert first.heartbeat() == 25


def test_member_that_does_not_sync_is_out(address, group):
    first = Member(address, group, rebalance=1_000, session=30_000)
    second = Member(address, group, rebalance=1_000, session=30_000)
    first.join()
    first.sync({})
    second.start_join()
    raw_wait(lambda: first.heartbeat() == 27)
    first.start_join()
    first.end_join(), second.end_join()
    first.sync({first.member_id: b"one", second.member_id: b"two"})
    raw_wait(lambda: first.heartbeat() == 27)
    assert second.heartbeat() == 25
    first.join()
    assert first.members == [first.member_id]


# Static members


def test_static_member_comes_back_without_a_rebalance(address, group):
    member = alone(address, group, instance="one")
    old = member.member_id
    again = Member(address, group, instance="one")
    answer = again.join()
    assert (answer["generation_id"], answer["leader"]) == (1, again.member_id)
    assert answer["skip_assignment"] is True
    assert again.members == [again.member_id]
    assert again.member_id != old
    assert again.sync() == b"mine"
    assert member.heartbeat() == 82
    member.start_join()
    assert member.end_join()["error_code"] in (0, 82)
    assert (
        call(member.connection, SYNC_GROUP, 5, sync_request(group, 1, old, instance="one"))["error_code"]
        == 82
    )


def test_static_member_of_an_old_version_comes_back(address, group):
    member = alone(address, group, instance="one", version=8)
    again = Member(address, group, instance="one", version=8)
    answer = again.join()
    assert (answer["generation_id"], answer["leader"]) == (1, member.member_id)
    assert again.members == []
    assert again.sync() == b"mine"


def test_static_member_with_a_new_protocol_means_a_rebalance(address, group):
    alone(address, group, instance="one", offered=protocols("a"))
    again = Member(address, group, instance="one", offered=protocols("b"))
    again.start_join()
    answer = again.end_join()
    assert (answer["error_code"], answer["generation_id"]) == (23, -1)
    third = Member(address, group, instance="one", offered=protocols("b", "a"))
    assert third.join()["generation_id"] == 2


def test_static_member_is_removed_by_its_instance_id(address, group, connection):
    member = alone(address, group, instance="one")
    request = {
        "group_id": group,
        "members": [
            {"member_id": "", "group_instance_id": "two", "reason": None},
            {"member_id": "", "group_instance_id": "one", "reason": None},
            {"member_id": "", "group_instance_id": None, "reason": None},
        ],
    }
    answer = call(connection, LEAVE_GROUP, 5, request)
    assert answer["error_code"] == 0
    assert [(m["group_instance_id"], m["member_id"], m["error_code"]) for m in answer["members"]] == [
        ("two", "", 25),
        ("one", "", 0),
        (None, "", 25),
    ]
    assert member.heartbeat() == 25


# SyncGroup and Heartbeat that are refused


def test_refused_sync(address, group, connection):
    member = alone(address, group)
    generation, member_id = member.generation, member.member_id

    def sync(version=5, **changes):
        values = {"group": group, "generation": generation, "member": member_id, **changes}
        return call(connection, SYNC_GROUP, version, sync_request(**values))

    assert sync(generation=generation + 1)["error_code"] == 22
    assert sync(member="unknown")["error_code"] == 25
    assert sync(instance="unknown")["error_code"] == 25
    assert sync(group=raw.unique("none"))["error_code"] == 25
    assert sync(name="other")["error_code"] == 23
    assert sync(kind="other")["error_code"] == 23
    assert sync(name=None)["error_code"] == 23
    assert sync(kind=None)["error_code"] == 23
    assert sync(group="")["error_code"] == 24
    answer = sync(generation=0)
    assert (answer["error_code"], answer["assignment"]) == (22, b"")
    assert (answer["protocol_type"], answer["protocol_name"]) == (None, None)
    for version in range(5):
        assert sync(version)["assignment"] == b"mine"


def test_refused_heartbeats(address, group, connection):
    member = alone(address, group)

    def heartbeat(version=4, **changes):
        request = {
            "group_id": group,
            "generation_id": member.generation,
            "member_id": member.member_id,
            "group_instance_id": None,
            **changes,
        }
        return call(connection, HEARTBEAT, version, request)["error_code"]

    for version in range(5):
        assert heartbeat(version) == 0
    assert heartbeat(generation_id=7) == 22
    assert heartbeat(member_id="unknown") == 25
    assert heartbeat(group_instance_id="unknown") == 25
    assert heartbeat(group_id=raw.unique("none")) == 25
    assert heartbeat(group_id="") == 24


# LeaveGroup


def test_leave(address, group, connection):
    member = alone(address, group)

    def leave(version, member_id, group_id=group):
        request = {
            "group_id": group_id,
            "member_id": member_id,
            "members": [{"member_id": member_id, "group_instance_id": None, "reason": None}],
        }
        answer = call(connection, LEAVE_GROUP, version, request)
        return answer["error_code"], [m["error_code"] for m in answer.get("members", [])]

    assert leave(5, "unknown") == (0, [25])
    assert leave(3, "unknown") == (0, [25])
    assert leave(0, "unknown") == leave(2, "unknown") == (25, [])
    assert leave(5, "unknown", raw.unique("none")) == (0, [25])
    assert leave(0, "unknown", raw.unique("none")) == (25, [])
    assert leave(5, "unknown", "") == (24, [])
    assert leave(0, "unknown", "") == (24, [])
    assert leave(1, member.member_id) == (0, [])
    assert leave(1, member.member_id) == (25, [])


def test_leave_of_a_member_that_has_only_its_id(connection, group):
    member_id = join(connection, group)["member_id"]
    request = {
        "group_id": group,
        "members": [{"member_id": member_id, "group_instance_id": None, "reason": None}] * 2,
    }
    answer = call(connection, LEAVE_GROUP, 4, request)
    assert [m["error_code"] for m in answer["members"]] == [0, 25]


# Lists, descriptions, deletion


def test_list_groups(address, group, connection):
    member = alone(address, group)
    for version in range(6):
        request = {"states_filter": [], "types_filter": []}
        answer = call(connection, LIST_GROUPS, version, request)
        assert answer["error_code"] == 0
        (found,) = [entry for entry in answer["groups"] if entry["group_id"] == group]
        assert found["protocol_type"] == "consumer"
        if version >= 4:
            assert found["group_state"] == "Stable"
        if version >= 5:
            assert found["group_type"] == "classic"

    def listed(**filters):
        request = {"states_filter": [], "types_filter": [], **filters}
        answer = call(connection, LIST_GROUPS, 5, request)
        assert answer["error_code"] == 0
        return group in [entry["group_id"] for entry in answer["groups"]]

    assert listed(states_filter=["Stable"])
    assert listed(states_filter=["stable", "Empty"])
    assert listed(types_filter=["Classic"])
    assert not listed(states_filter=["Empty"])
    assert not listed(states_filter=["nonsense"])
    assert not listed(types_filter=["consumer"])
    assert not listed(types_filter=["nonsense"])
    member.leave()
    assert listed(states_filter=["Empty"])


def test_describe_unknown_group(connection, group):
    name = raw.unique("none")
    for version in range(6):
        (found,) = call(connection, DESCRIBE_GROUPS, version, {"groups": [name]})["groups"]
        assert (found["error_code"], found["group_state"], found["members"]) == (0, "Dead", [])
    (found,) = call(connection, DESCRIBE_GROUPS, 6, {"groups": [name]})["groups"]
    assert (found["error_code"], found["group_state"]) == (69, "Dead")
    assert found["error_message"] == f"Group {name} not found."


def test_describe_with_operations(address, group, connection):
    alone(address, group)
    name = raw.unique("none")
    request = {"groups": [group, name], "include_authorized_operations": True}
    for version, of_unknown in ((6, -2147483648), (5, 3400)):
        found = call(connection, DESCRIBE_GROUPS, version, request)["groups"]
        # The reference answers in the order of its partitions.
        operations = {entry["group_id"]: entry["authorized_operations"] for entry in found}
        assert operations == {group: 3400, name: of_unknown}


def test_delete_groups(address, group, connection):
    member = alone(address, group)
    none = raw.unique("none")

    def delete(*names):
        answer = call(connection, DELETE_GROUPS, 2, {"groups_names": list(names)})
        return {entry["group_id"]: entry["error_code"] for entry in answer["results"]}

    assert delete(group, none, group) == {group: 68, none: 69}
    member.leave()
    assert delete(group) == {group: 0}
    assert delete(group) == {group: 69}
    (found,) = call(connection, DESCRIBE_GROUPS, 6, {"groups": [group]})["groups"]
    assert found["error_code"] == 69


def test_describe_keeps_the_assignments_while_the_group_rebalances(address, group, connection):
    member = alone(address, group)
    late = Member(address, group)
    late.start_join()
    found = wait_until(
        lambda: (
            described
            if (described := call(connection, DESCRIBE_GROUPS, 5, {"groups": [group]})["groups"][0])[
                "group_state"
            ]
            == "PreparingRebalance"
            else None
        ),
        "the rebalance",
    )
    shown = {entry["member_id"]: entry["member_assignment"] for entry in found["members"]}
    assert shown[member.member_id] == b"mine"
    member.close()
    late.close()


def test_equal_votes_for_two_protocols(address, group):
    """Which of them wins is given by the hash of their names, as in Kafka."""
    first, second = (
        Member(address, group, offered=protocols(*names))
        for names in (("roundrobin", "range"), ("range", "roundrobin"))
    )
    first.join()
    second.start_join()
    first.start_join()
    assert first.end_join()["protocol_name"] == second.end_join()["protocol_name"] == "range"
    first.close()
    second.close()
