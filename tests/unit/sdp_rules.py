"""What every answer owes to its offer, read from the two texts without the code that is tested."""

from __future__ import annotations

import re

_LINE = re.compile(r"[a-z]=[ -~]*")
_ANSWERED_DIRECTIONS = {
    "sendrecv": {"sendrecv", "sendonly", "recvonly", "inactive"},
    "sendonly": {"recvonly", "inactive"},
    "recvonly": {"sendonly", "inactive"},
    "inactive": {"inactive"},
}
"""RFC 3264 section 6.1; of extensions RFC 8285 section 6."""
_ANSWERED_SETUPS = {
    "actpass": {"active", "passive"},
    "active": {"passive"},
    "passive": {"active"},
}


class Text:
    """The lines of a section. The first is its m-line, that of the session v=0."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.kind, self.port, self.protocol, *self.formats = [*lines[0][2:].split(" "), "", "", ""]
        self.formats = [text for text in self.formats if text]

    def values(self, name: str) -> list[str]:
        return [line[len(name) + 3 :] for line in self.lines if line.startswith(f"a={name}:")]

    def has(self, name: str) -> bool:
        return f"a={name}" in self.lines

    @property
    def mid(self) -> str:
        return next(iter(self.values("mid")), "").strip()

    def direction(self, default: str = "sendrecv") -> str:
        found = [line[2:] for line in self.lines if line[2:] in _ANSWERED_DIRECTIONS]
        return found[-1] if found else default


class Description:
    def __init__(self, text: str) -> None:
        sections: list[list[str]] = [[]]
        for line in text.replace("\r\n", "\n").split("\n"):
            if line.startswith("m="):
                sections.append([])
            sections[-1].append(line.rstrip())
        self.session = Text(sections[0])
        self.media = [Text(lines) for lines in sections[1:]]

    @property
    def groups(self) -> list[list[str]]:
        groups = [value.split() for value in self.session.values("group")]
        return [group[1:] for group in groups if group[:1] == ["BUNDLE"]]


def check(offer_text: str, answer_text: str) -> None:
    """Raises AssertionError that names the rule."""
    assert answer_text.endswith("\r\n")
    for line in answer_text[:-2].split("\r\n"):
        assert _LINE.fullmatch(line), line
    offer, answer = Description(offer_text), Description(answer_text)
    assert len(offer.media) == len(answer.media), "as many m-lines (RFC 3264 section 6)"
    for place, (offered, answered) in enumerate(zip(offer.media, answer.media, strict=True)):
        try:
            _check_section(offer, offered, answered)
        except AssertionError as error:
            raise AssertionError(f"m-line {place + 1}: {error}") from error
    _check_groups(offer, answer)
    if answer.session.has("extmap-allow-mixed"):
        assert offer.session.has("extmap-allow-mixed"), "RFC 8285 section 6"


def _check_groups(offer: Description, answer: Description) -> None:
    accepted = [section for section in answer.media if section.port != "0"]
    assert len(answer.groups) <= 1
    if len(accepted) > 1:
        assert answer.groups, "several m-lines share the transport only by a group"
    for group in answer.groups:
        assert any(set(group) <= set(offered) for offered in offer.groups), "RFC 9143 section 7.3"
        assert set(group) == {section.mid for section in accepted}
        assert len(set(group)) == len(group)


def _check_section(offer: Description, offered: Text, answered: Text) -> None:
    assert (answered.kind, answered.protocol) == (offered.kind, offered.protocol)
    assert answered.mid in (("", offered.mid) if answered.port == "0" else (offered.mid,))
    if answered.port == "0":
        assert answered.formats == offered.formats
        return
    bundled = any(offered.mid in group for group in offer.groups)
    assert offered.port != "0" or (bundled and offered.has("bundle-only")), "it was rejected"
    session = offer.session
    assert (
        answered.direction()
        in _ANSWERED_DIRECTIONS[offered.direction(session.direction("sendrecv"))]
    )
    assert answered.has("rtcp-mux"), "we can't do without"
    mates = [s for s in offer.media if any(s.mid in g and offered.mid in g for g in offer.groups)]
    assert any(section.has("rtcp-mux") for section in (offered, *mates)), "RFC 5761 section 5.1.1"
    assert not answered.has("rtcp-rsize") or offered.has("rtcp-rsize"), "RFC 5506 section 5"
    assert not answered.has("extmap-allow-mixed") or offered.has("extmap-allow-mixed")
    _check_codecs(offered, answered)
    _check_extensions(session, offered, answered)
    setups = {s.values("setup")[0] for s in (offered, session, *mates) if s.values("setup")}
    wanted = [_ANSWERED_SETUPS.get(setup, set()) for setup in setups]
    assert answered.values("setup")[0] in set().union(*wanted)


def _check_codecs(offered: Text, answered: Text) -> None:
    assert answered.formats
    assert len(set(answered.formats)) == len(answered.formats)
    for text in answered.formats:
        assert text in offered.formats
        assert int(text) in {*range(64), *range(96, 128)}, "RFC 3550 5.1, RFC 5761 4"
    names = {value.split(" ")[0]: value for value in answered.values("rtpmap")}
    assert set(names) == set(answered.formats)
    written = [" ".join(value.split()).lower() for value in offered.values("rtpmap")]
    for value in names.values():
        assert value.lower() in written, f"rtpmap {value} was not offered"
    feedback = {" ".join(value.split()) for value in offered.values("rtcp-fb")}
    for value in answered.values("rtcp-fb"):
        kind = value.split(" ", 1)[1]
        assert feedback & {value, f"* {kind}"}, f"rtcp-fb {value} was not offered"


def _check_extensions(session: Text, offered: Text, answered: Text) -> None:
    lines = offered.values("extmap") or session.values("extmap")
    known: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        identifier, *words = line.split(" ", 1)
        number, _, direction = identifier.partition("/")
        uri = words[0].split(" ")[0] if words else ""
        if (direction := direction or "sendrecv") in _ANSWERED_DIRECTIONS:
            known.setdefault((number, uri), []).append(direction)
    for value in answered.values("extmap"):
        identifier, uri = value.split(" ")
        number, _, direction = identifier.partition("/")
        assert (number, uri) in known, f"extmap {value} was not offered"
        wanted = [_ANSWERED_DIRECTIONS[each] for each in known[number, uri]]
        assert any((direction or "sendrecv") in each for each in wanted)
        assert 1 <= int(number) <= 255
        assert number != "15"
