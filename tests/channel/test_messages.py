"""What comes over the channel is read exactly or not at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_deploygate.channel.messages import (
    AttemptEnded,
    Began,
    Bye,
    ChannelError,
    Collected,
    CollectedCheck,
    CollectionDone,
    Done,
    Doubt,
    Hello,
    Measured,
    Message,
    Opinion,
    Part,
    Passed,
    PhaseDone,
    SessionEnding,
    decode,
    encode,
)

MESSAGES: list[Message] = [
    Hello("session", 7, "", "/project", 0, ("-k: it leaves out checks",)),
    Collected((CollectedCheck("a.py::test", "/p/a.py", ("smoke",), ""),), ("x",)),
    CollectionDone(0),
    Began(4),
    AttemptEnded(
        4,
        (Part("setup", "passed", False, True),),
        (Measured("a", 1.5, "s", "baseline"),),
        {"candidate": 2},
    ),
    Passed(4),
    Doubt("it is odd", "a.py::test"),
    PhaseDone("live"),
    Opinion(True, False, (("custom", "not on a Friday"),), ""),
    Done(""),
    SessionEnding(2, "stopped"),
    Bye(0),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_message_is_read_as_it_was_written(message: Message) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line[:-1]) == message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'["Passed"]',
        b'["Passed",[]]',
        b'["Passed",[1,2]]',
        b'["Passed",["1"]]',
        b'["Passed",[true]]',
        b'["Passed",[1.0]]',
        b'["Passed",[01]]',
        b'["Passed",[1]] ["Passed",[2]]',
        b'["Passed",{"check":1}]',
        b'["Passing",[1]]',
        b'["Part",["setup","passed",false,false]]',
        b'["AttemptEnded",[1,[["setup","passed",0,false]],[],{}]]',
        b'["AttemptEnded",[1,[],[["a",true,"s"]],{}]]',
        b'["AttemptEnded",[1,[],[],{"candidate":-1}]]',
        b'["AttemptEnded",[1,[],[],{"candidate":true}]]',
        b'["Opinion",[true,true,[["custom"]],""]]',
        b"\xff",
        b"[" * 100_000,
    ],
    ids=lambda line: line[:40].decode(errors="replace"),
)
def test_what_is_not_exactly_a_message_is_refused(line: bytes) -> None:
    with pytest.raises(ChannelError):
        decode(line)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_whatever_is_sent_is_a_message_or_an_error_of_the_channel(value: object) -> None:
    try:
        decode(json.dumps(["AttemptEnded", value]).encode())
    except ChannelError:
        return
    pytest.fail("no list of this kind is a message")
