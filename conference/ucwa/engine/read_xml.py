"""Inputs out of an XML body, which may come from anybody: no document type, so no entities, and no depth."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from conference.errors import BadRequest
from conference.ucwa.engine.inputs import Given

_DEEPEST = 20
_NAMES_MOST = 1000
_ELEMENTS_MOST = 20_000
"""More than a resource with all that it may embed has; each costs a call."""
_OUTERMOST = ("input", "resource")
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


def inputs(body: bytes) -> Mapping[str, Given]:
    """`<input><property name="a">1</property><propertyList name="b"><item>x</item></propertyList></input>`, in
    UCWA's namespace or none; values are texts. Other elements are skipped, so that a resource that was read and
    edited can be sent back as it is: its outermost element is `<resource>`, and links and inner resources are in it.

    Raises BadRequest (DeserializationFailure).
    """
    reader = _Reader()
    # the parser is given a target, so no tree of what is skipped is built
    parser = DefusedXMLParser(
        target=reader, forbid_dtd=True, forbid_entities=True, forbid_external=True
    )
    try:
        parser.feed(body)
        parser.close()
    except DefusedXmlException:
        raise failure("the body has a document type or entities, which are not read") from None
    except (ParseError, LookupError, ValueError) as error:
        raise failure(f"the body is not XML: {error}") from None
    return reader.found


class _Reader:
    """Told of each element's begin and end by the parser."""

    def __init__(self) -> None:
        self.found: dict[str, Given] = {}
        self._path: list[str] = []
        self._elements = 0
        self._name: str | None = None
        self._nil = False
        self._items: list[str] = []
        self._text: list[str] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        local = tag.rpartition("}")[2]
        self._path.append(local)
        self._elements += 1
        if self._elements > _ELEMENTS_MOST:
            raise failure(f"the body has more than {_ELEMENTS_MOST} elements")
        if len(self._path) > _DEEPEST:
            raise failure(f"the body is nested deeper than {_DEEPEST} elements")
        if len(self._path) == 1 and local not in _OUTERMOST:
            raise failure("the body's outermost element must be <input> or <resource>")
        if len(self._path) == 2 and local in ("property", "propertyList"):
            self._begin(attributes.get("name"))
            self._nil = attributes.get(_NIL) in ("true", "1")
        if self._holds_value():
            self._text = []

    def _begin(self, name: str | None) -> None:
        if not name:
            raise failure("a property has no name")
        if name in self.found:
            raise failure(f"{name} is given twice")
        if len(self.found) >= _NAMES_MOST:
            raise failure(f"the body has more than {_NAMES_MOST} properties")
        self._name, self._items = name, []

    def data(self, text: str) -> None:
        if self._holds_value():
            self._text.append(text)

    def _holds_value(self) -> bool:
        return self._path[1:] in (["property"], ["propertyList", "item"])

    def end(self, tag: str) -> None:
        path = self._path
        if path[1:] == ["propertyList", "item"]:
            self._items.append("".join(self._text))
        elif path[1:] == ["property"]:
            self._keep("".join(self._text))
        elif path[1:] == ["propertyList"]:
            self._keep(self._items)
        path.pop()

    def _keep(self, value: Given) -> None:
        if self._name is not None:
            self.found[self._name] = None if self._nil else value
        self._name = None

    def close(self) -> None:
        pass


def failure(why: str) -> BadRequest:
    return BadRequest(why, code="DeserializationFailure")
