"""What a path below people names, and what is asked for in the same way of several resources there."""

from __future__ import annotations

from datetime import timedelta

from conference.errors import NotFound
from conference.ucwa import sip
from conference.ucwa.engine.call import Call
from conference.ucwa.engine.inputs import Inputs, wrong

AT_ONCE = 100
"""Addresses in one request."""
_LONGEST_URI = 250


def address_of(call: Call) -> str:
    """Of a contact. Raises NotFound for what is no address: nobody can have it."""
    return _address(call.params["address"])


def pair_of(call: Call) -> tuple[str, str]:
    """(id, address) of a membership. Raises NotFound."""
    id_, _, address = call.params["membershipId"].partition(",")
    return id_, _address(address)


def uri_in(inputs: Inputs, name: str) -> str:
    """The address in a SIP URI. Raises BadRequest."""
    return _of_uri(inputs.required(name, _LONGEST_URI), name)


def uris_in(inputs: Inputs, name: str) -> list[str]:
    """The addresses in SIP URIs, each once. Raises BadRequest."""
    given = inputs.texts(name)
    if not given:
        raise wrong(name, "is required: a list of SIP URIs")
    if len(given) > AT_ONCE:
        raise wrong(name, f"has more than {AT_ONCE} items")
    return list(dict.fromkeys(_of_uri(uri, name) for uri in given))


def minutes_in(inputs: Inputs, most: int) -> timedelta:
    """Input `duration`. Raises BadRequest."""
    minutes = inputs.number("duration", 10, most)
    if minutes is None:
        raise wrong("duration", f"is required: minutes, from 10 to {most}")
    return timedelta(minutes=minutes)


def expanded(call: Call) -> bool:
    """Whether a collection embeds what it has, as it does unless asked for links."""
    wanted = call.query.flag("expand")
    return wanted is None or wanted


def _of_uri(uri: str, name: str) -> str:
    try:
        found = sip.address(uri.strip(' "'))
    except ValueError as error:
        raise wrong(name, str(error)) from None
    if len(found) > _LONGEST_URI:
        raise wrong(name, f"is longer than {_LONGEST_URI} characters")
    return found


def _address(text: str) -> str:
    try:
        return sip.address(text)
    except ValueError:
        raise NotFound("that is no address, so nobody has it") from None
