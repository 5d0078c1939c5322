"""The two answers that are no resources, as their pages show them: what OPTIONS tells, and what makeMeAvailable of
revision 2 does. Their XML is that of a serializer, outside UCWA's namespace."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

import msgspec

from conference.ucwa.engine.negotiate import Syntax

Written = Mapping[Syntax, bytes]


class MethodParameter(msgspec.Struct, frozen=True, rename="camel"):
    """`supported_values`: empty where any text will do."""

    name: str
    supported_values: tuple[str, ...] = ()


class MethodMetadata(msgspec.Struct, frozen=True, rename="camel"):
    http_method: str
    parameters: tuple[MethodParameter, ...] = ()


class OptionsMetadata(msgspec.Struct, frozen=True):
    """Which methods a resource has, and which inputs they take."""

    metadata: tuple[MethodMetadata, ...]


class OperationsQueued(msgspec.Struct, frozen=True):
    """Those that are still under way when the answer comes: here all is done by then."""

    operations: tuple[str, ...] = ()


def options(described: OptionsMetadata) -> Written:
    root = ElementTree.Element("optionsMetadata")
    methods = ElementTree.SubElement(root, "metadata")
    for method in described.metadata:
        element = ElementTree.SubElement(methods, "httpMethodMetadata")
        ElementTree.SubElement(element, "httpMethod").text = method.http_method
        parameters = ElementTree.SubElement(element, "parameters")
        for given in method.parameters:
            parameter = ElementTree.SubElement(parameters, "parameter")
            ElementTree.SubElement(parameter, "name").text = given.name
            values = ElementTree.SubElement(parameter, "supportedValues")
            for value in given.supported_values:
                ElementTree.SubElement(values, "value").text = value
    return _written(described, root)


def operations_queued() -> Written:
    root = ElementTree.Element("operationsQueued")
    ElementTree.SubElement(root, "operations")
    return _written(OperationsQueued(), root)


def _written(described: msgspec.Struct, root: ElementTree.Element) -> Written:
    xml: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return {"json": msgspec.json.encode(described), "xml": xml.replace(b"\n", b"")}
