"""E-mails become pairs of what their subjects ask for and what their writers wrote; the others are told and why."""

from __future__ import annotations

import mailbox
from collections import Counter
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longstream.data import REASONS, Origin, Pair, ReadLimits, Rejected, open_source
from longstream.data.corpora.mail import TEMPLATES, own_words

BODY = "The mill by the river stands empty since last winter, and nobody asks for its key."
LIMITS = ReadLimits()
ORIGIN = Origin(source="mail", licence="CC0-1.0", seed=3)


def message(body: str = BODY, subject: str | None = "The old mill", **headers: str) -> EmailMessage:
    made = EmailMessage()
    made["From"] = "a@example.org"
    if subject is not None:
        made["Subject"] = subject
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(body)
    return made


def mbox(folder: Path, *messages: EmailMessage | bytes) -> Path:
    """Written by Python's own mailbox."""
    path = folder / "box.mbox"
    path.unlink(missing_ok=True)
    box = mailbox.mbox(path)
    for one in messages:
        box.add(one)
    box.close()
    return path


def read(path: Path, limits: ReadLimits = LIMITS, origin: Origin = ORIGIN) -> list[Pair | str]:
    """Pairs, and the reasons of what is none."""
    found: list[Pair | str] = []
    for item in open_source(path, "mail", limits, origin):
        assert isinstance(item, Pair | Rejected)
        if isinstance(item, Rejected):
            assert item.reason in REASONS
        found.append(item if isinstance(item, Pair) else item.reason)
    return found


def one(folder: Path, *messages: EmailMessage | bytes) -> Pair | str:
    (found,) = read(mbox(folder, *messages))
    return found


def test_the_subject_asks_and_the_body_answers(tmp_path: Path) -> None:
    sent = message(Date="Mon, 05 Jan 2026 10:00:00 +0100", Message_ID="<m1@example.org>")
    pair = one(tmp_path, sent)
    assert isinstance(pair, Pair)
    number = int(pair.provenance["template"].removeprefix("mail/"))
    assert pair == Pair(
        instruction=TEMPLATES[number - 1].format(subject="The old mill"),
        response=BODY,
        source="mail",
        source_index=0,
        external_id="m1@example.org",
        licence="CC0-1.0",
        provenance={"file": "box.mbox", "template": f"mail/{number}"},
        time=datetime(2026, 1, 5, 9, tzinfo=UTC),
    )


def test_eleven_ways_of_asking_of_which_seven_are_questions() -> None:
    assert len(set(TEMPLATES)) == 11
    assert sum(template.endswith("?") for template in TEMPLATES) == 7


def test_the_seed_draws_the_way_of_asking_for_each_text_alone(tmp_path: Path) -> None:
    sent = [message(f"{BODY} It is number {number}.") for number in range(200)]
    first = read(mbox(tmp_path, *sent))
    again = read(mbox(tmp_path, *reversed(sent)))
    other = read(mbox(tmp_path, *sent), origin=Origin(seed=4))

    def asked(found: list[Pair | str]) -> dict[str, str]:
        return {one.response: one.instruction for one in found if isinstance(one, Pair)}

    assert asked(first) == asked(again) != asked(other)
    drawn = Counter(one.provenance["template"] for one in first if isinstance(one, Pair))
    assert len(drawn) == 11
    assert max(drawn.values()) < 40


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.sampled_from("a \nF>r-om:é"), max_size=80), max_size=6))
def test_an_mbox_has_the_messages_that_python_reads_from_it(tmp_path: Path, texts: list[str]) -> None:
    sent = [
        message(f"{BODY}\n\nFrom me to you\n{text}\n{BODY}", subject=f"s{n}") for n, text in enumerate(texts)
    ]
    path = mbox(tmp_path, *sent)
    assert len(read(path)) == len(mailbox.mbox(path)) == len(texts)


def test_a_folder_is_read_file_by_file_whatever_their_names(tmp_path: Path) -> None:
    for name, body in (("inbox/1.", BODY), ("inbox/cur/2", BODY + " So it is."), (".hidden", BODY)):
        path = tmp_path / "people" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(message(body)))
    found = read(tmp_path / "people")
    assert [one.provenance["file"] for one in found if isinstance(one, Pair)] == ["inbox/1.", "inbox/cur/2"]
    assert {one.source_index for one in found if isinstance(one, Pair)} == {None}


def test_a_folder_may_hold_mboxes_and_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "mails").mkdir()
    mbox(tmp_path, message(), message(BODY + " So it is.")).rename(tmp_path / "mails" / "archive")
    (tmp_path / "mails" / "empty").touch()
    found = read(tmp_path / "mails")
    assert [one.provenance["file"] for one in found if isinstance(one, Pair)] == ["archive", "archive"]
    assert found[2] == "empty"


def test_a_single_message_is_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "note.eml"
    path.write_bytes(bytes(message()))
    (item,) = open_source(path)
    assert isinstance(item, Pair)
    assert item.response == BODY


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (message(subject=None), "no_subject"),
        (message(subject="Re: ..."), "no_subject"),
        (message(subject="FW: The old mill"), "forwarded"),
        (message(subject="Re: Fwd: The old mill"), "forwarded"),
        (message("Yes, do."), "too_short"),
        (message("-----Original Message-----\n" + BODY), "too_short"),
        (message(f"> Shall I go?\nYes.\n> When?\n{BODY}"), "quoted"),
        (b"Subject: s\nContent-Type: text/html\n\n<p>" + BODY.encode() + b"</p>\n", "no_plain_text"),
        (
            b"Subject: s\nContent-Type: text/plain; charset=utf-8\n\n\xff" + BODY.encode() + b"\n",
            "undecodable",
        ),
        (b"Subject: s\n\n\xff" + BODY.encode() + b"\n", "undecodable"),
        (b"Subject: s\nContent-Type: text/plain; charset=klingon\n\n" + BODY.encode() + b"\n", "undecodable"),
    ],
)
def test_what_is_no_answer_is_told_and_the_next_one_read(
    sent: EmailMessage | bytes, reason: str, tmp_path: Path
) -> None:
    found = read(mbox(tmp_path, sent, message()))
    assert found[0] == reason
    assert isinstance(found[1], Pair)


def test_too_large_a_message_is_told_and_the_next_one_read(tmp_path: Path) -> None:
    path = mbox(tmp_path, message(BODY * 1_000), message())
    large, small = read(path, ReadLimits(max_record_bytes=10_000))
    assert large == "too_large"
    assert isinstance(small, Pair)
    assert read(path, ReadLimits(max_document_bytes=50)) == ["too_large", "too_large"]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_end_the_reading(tmp_path: Path, head: bytes, body: bytes) -> None:
    path = tmp_path / "box.mbox"
    path.write_bytes(
        b"Subject: s\n" + head + b"\n\n" + body + b"\n\nFrom a Mon Jan 1 00:00:00 2026\n" + bytes(message())
    )
    assert isinstance(read(path)[-1], Pair)


@pytest.mark.parametrize(
    ("text", "own"),
    [
        (f"{BODY}\n-- \nA. Writer\nMill Lane", BODY),
        (f"{BODY}\n\nOn Monday Ann\n<ann@example.org> wrote:\n> Where is the key?\n> Ann", BODY),
        (f"{BODY}\n\nAm Montag schrieb Ann:\n\n> Wo ist der Schlüssel?", BODY),
        (f"{BODY}\n\n -----Original Message-----\nFrom: Ann\nSubject: key\n\nWhere?", BODY),
        (f"{BODY}\n\nVon: Ann\nGesendet: Montag\nAn: mich\nBetreff: Schlüssel\n\nWo?", BODY),
        (f"{BODY}\nFrom: the mill you see the river.\n", f"{BODY}\nFrom: the mill you see the river."),
        (f"{BODY}\n\n--\u00a0\n", f"{BODY}"),
        ("> quoted alone", ""),
    ],
)
def test_only_what_the_writer_wrote_is_kept(text: str, own: str) -> None:
    assert own_words(text) == own


def test_headers_in_other_alphabets_are_read(tmp_path: Path) -> None:
    raw = (
        b"Subject: =?utf-8?b?0KHRgtCw0YDQsNGPINC80LXQu9GM0L3QuNGG0LA=?=\nDate: soon\n\n"
        + BODY.encode()
        + b"\n"
    )
    pair = one(tmp_path, raw)
    assert isinstance(pair, Pair)
    assert "Старая мельница" in pair.instruction
    assert pair.time is None
