"""Paths of a state directory: sockets move away only when they must."""

import pytest

from scheduler_daemon.contract import channels
from scheduler_daemon.contract.places import places


def test_sockets_stand_in_the_state_directory() -> None:
    where = places("/home/ada/.local/state/chronos", uid=1000)

    assert where.api_socket == "/home/ada/.local/state/chronos/api.sock"
    assert not where.sockets_moved


@pytest.mark.parametrize("length", [60, 84, 85, 86, 200])
def test_every_socket_path_is_under_100_bytes(length: int) -> None:
    where = places("/" + "x" * (length - 1), uid=1000)

    assert all(len(path) < 100 for path in (where.api_socket, where.redis_socket, where.launcher_socket))
    assert where.sockets_moved == (length + len("/launcher.sock") >= 100)


def test_bytes_count_not_characters() -> None:
    where = places("/" + "é" * 50, uid=7)

    assert where.sockets.startswith("/tmp/chronos-7-")


def test_two_long_directories_do_not_share_sockets() -> None:
    assert places("/" + "a" * 100, uid=1).sockets != places("/" + "b" * 100, uid=1).sockets


def test_a_relative_state_directory_is_refused() -> None:
    with pytest.raises(ValueError, match="absolute"):
        places("state", uid=1)


@pytest.mark.parametrize("hostile", ["*", "a*", "a?", "[a]", "", "a:b", "a b", "é", "x" * 65, "a\n"])
def test_a_channel_of_an_id_that_was_not_generated_is_refused(hostile: str) -> None:
    with pytest.raises(ValueError, match="generated"):
        channels.user(hostile)


def test_only_literal_channels_of_ours_are_channels() -> None:
    ours = [channels.ALL, channels.user("u-1"), channels.team(7), channels.log(12)]

    assert all(channels.is_channel(name) for name in ours)
    assert not any(
        channels.is_channel(name) for name in ("cs:ch:*", "cs:ch:user:*", "cs:ch:user:", "other", "cs:ch:alle")
    )
