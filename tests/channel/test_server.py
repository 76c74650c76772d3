"""The channel with real processes: who is heard, in which order, and what a stranger or a forked copy can do."""

import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from pytest_deploygate.channel.judge_end import ConnectionClosed, JudgeChannel, Received
from pytest_deploygate.channel.messages import Began, Bye, Hello, Passed
from pytest_deploygate.channel.orders import EndChecks

HEAD = """
import os, sys
from pytest_deploygate.channel.client import JudgeGone, JudgeLink
from pytest_deploygate.channel.messages import *
link = JudgeLink(sys.argv[1])
link.send(Hello("session", os.getpid(), "", "/", 0, ()))
"""
WAIT_S = 60.0


@pytest.fixture
def channel() -> Iterator[JudgeChannel]:
    opened = JudgeChannel()
    yield opened
    opened.close()


def start(channel: JudgeChannel, program: str) -> "subprocess.Popen[bytes]":
    text = HEAD + textwrap.dedent(program)
    return subprocess.Popen([sys.executable, "-c", text, channel.address])


def heard(channel: JudgeChannel) -> Received:
    event = channel.receive(WAIT_S)
    assert isinstance(event, Received), event
    return event


def test_process_is_known_by_its_pid_and_answers_orders(channel: JudgeChannel) -> None:
    with start(channel, "link.receive()\nlink.send(Bye(0))") as process:
        hello = heard(channel)
        assert isinstance(hello.message, Hello)
        assert hello.connection.pid == hello.message.pid == process.pid
        assert channel.send(hello.connection, EndChecks())
        assert heard(channel).message == Bye(0)
    assert isinstance(channel.receive(WAIT_S), ConnectionClosed)
    assert not channel.send(hello.connection, EndChecks())


def test_copy_that_a_check_forked_has_no_say(channel: JudgeChannel) -> None:
    program = """
        if os.fork() == 0:
            link.send(Passed(0))
            os._exit(0)
        _, status = os.wait()
        link.send(Bye(os.waitstatus_to_exitcode(status)))
        """
    with start(channel, program):
        heard(channel)
        assert heard(channel).message == Bye(70)


def test_what_is_held_goes_before_the_next_message(channel: JudgeChannel) -> None:
    program = """
        link.hold_line(encode(Passed(0)))
        link.send(Began(1))
        link.hold_line(encode(Passed(1)))
        link.flush()
        link.flush()
        link.send(Bye(0))
        """
    with start(channel, program):
        heard(channel)
        told = [heard(channel).message for _ in range(4)]
    assert told == [Passed(0), Began(1), Passed(1), Bye(0)]


def test_what_is_held_is_lost_with_its_process(channel: JudgeChannel) -> None:
    with start(channel, "link.hold_line(encode(Passed(0)))\nos._exit(0)"):
        heard(channel)
        assert isinstance(channel.receive(WAIT_S), ConnectionClosed)


def test_copy_that_a_check_forked_holds_nothing(channel: JudgeChannel) -> None:
    program = """
        if os.fork() == 0:
            link.hold_line(encode(Passed(0)))
            os._exit(0)
        _, status = os.wait()
        link.send(Bye(os.waitstatus_to_exitcode(status)))
        """
    with start(channel, program):
        heard(channel)
        assert heard(channel).message == Bye(70)


def test_messages_that_come_together_are_read_together(channel: JudgeChannel) -> None:
    with start(channel, "for n in range(1000): link.send(Passed(n))"):
        assert channel.receive(WAIT_S, gather_s=0.01) is not None
        told = [channel.next_ready() or channel.receive(WAIT_S) for _ in range(1000)]
        assert [one.message for one in told if isinstance(one, Received)] == [
            Passed(n) for n in range(1000)
        ]
        assert isinstance(channel.receive(WAIT_S), ConnectionClosed)
        assert channel.next_ready() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who sent a piece")
def test_copy_that_kept_the_socket_is_told_apart_by_the_system(channel: JudgeChannel) -> None:
    program = """
        import socket
        kept = os.dup(link._write.__self__.fileno())
        if os.fork() == 0:
            os.write(kept, encode(Passed(0)))
            os._exit(0)
        os.wait()
        """
    with start(channel, program):
        heard(channel)
        forged = heard(channel)
        assert (forged.message, forged.problem) == (None, "another process wrote to the channel")


def test_message_that_is_cut_is_no_message(channel: JudgeChannel) -> None:
    with start(channel, "link.send_line(encode(Passed(0))[:-3])"):
        heard(channel)
        cut = heard(channel)
        assert (cut.message, cut.problem) == (None, "the last message was cut")


def test_nonsense_is_told_as_such(channel: JudgeChannel) -> None:
    with start(channel, "link.send_line(b'passed\\n')"):
        heard(channel)
        assert heard(channel).problem.startswith("no JSON")


def test_patched_socket_and_json_do_not_cut_the_channel(channel: JudgeChannel) -> None:
    program = """
        import json, socket
        def refuse(*args, **kwargs): raise OSError("no network here")
        socket.socket = socket.create_connection = json.dumps = json.JSONEncoder.encode = refuse
        os.getpid = lambda: 1
        link.send(Passed(3))
        """
    with start(channel, program):
        heard(channel)
        assert heard(channel).message == Passed(3)


def test_session_is_told_when_the_judge_is_gone(channel: JudgeChannel) -> None:
    program = """
        try:
            link.receive()
        except JudgeGone as gone:
            sys.exit(str(gone) == "the judge has ended" and 3)
        """
    with start(channel, program) as process:
        heard(channel)
        channel.close()
        assert process.wait(WAIT_S) == 3


def test_folder_of_the_channel_is_for_its_owner_and_goes_with_it(channel: JudgeChannel) -> None:
    assert channel.folder.stat().st_mode & 0o777 == 0o700
    assert channel.folder.stat().st_uid == os.getuid()
    channel.close()
    assert not channel.folder.exists()


@pytest.mark.parametrize("ends", [r"\n", ""], ids=["lines", "one that never ends"])
def test_process_that_never_stops_speaking_holds_nobody_up(
    channel: JudgeChannel, ends: str
) -> None:
    """Whoever waits comes back in time, though more lies ready whenever it is looked."""
    program = f"""
        while True:
            link.send_line(b"0{ends}" * 20000)
        """
    with start(channel, program) as process:
        heard(channel)
        for _ in range(20):
            channel.receive(0.0)
        process.kill()


def test_process_that_opens_connection_after_connection_is_refused(
    channel: JudgeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (12, 12))
    few = JudgeChannel()
    try:
        program = """
            import socket
            opened = [socket.socket(socket.AF_UNIX) for _ in range(20)]
            for one in opened:
                one.connect(sys.argv[1])
            link.receive()
            """
        with start(few, program) as process:
            heard(few)
            assert heard(few).problem == "too many processes opened the channel"
            process.kill()
    finally:
        few.close()
