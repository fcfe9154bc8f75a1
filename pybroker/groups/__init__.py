"""The meeting room: groups of any protocol and their committed offsets."""
