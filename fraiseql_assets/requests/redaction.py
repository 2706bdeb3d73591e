"""Removes secrets from GraphQL requests before they leave the process.

A value is a secret if its name looks like one, if the value looks like a token, or if the settings
name its path. The same rules apply to variables, to literals in the query text, and to error
messages that repeat such a value.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from graphql import GraphQLError, Node, Visitor, parse, print_ast, visit
from graphql.language import (
    ArgumentNode,
    ListValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    StringValueNode,
    VariableDefinitionNode,
    VariableNode,
)

REDACTED = "[redacted]"
_SHORTEST = 4
"""Shorter values are not removed from error messages, because they occur in any sentence."""

_SECRET_NAME = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|authorization|authentication|api_?key"
    r"|access_?key|private_?key|session_?id|cookie|jwt|bearer|signature|otp$|^pin(_?code)?$"
    r"|cvv|cvc|card_?number|(^|_)pan$|iban|ssn|social_?security",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"^(bearer|basic)\s+\S+$"
    r"|^eyJ[\w-]+\.[\w-]+\.[\w-]*$"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|^(sk|pk|rk)_(live|test)_\w+$"
    r"|^gh[pousr]_\w{20,}$"
    r"|^AKIA[0-9A-Z]{16}$",
    re.IGNORECASE,
)
_LITERAL = re.compile(r'"""(?:\\"""|.)*?"""|"(?:\\.|[^"\\\n])*"?', re.DOTALL)


@dataclass(slots=True)
class Redaction:
    """The rules, and the values that they removed from one request.

    `paths` are patterns of dotted paths below the variables, such as `input.email` or
    `*.customer.phone`; `*` matches any text, and list items are not a step of the path.
    """

    paths: Sequence[str] = ()
    removed: set[str] = field(default_factory=set)

    def variables(self, value: Any) -> Any:
        """The variables without secrets. The argument is not modified."""
        return self._walk(value, ())

    def query(self, text: str) -> str:
        """The query text without secret literals. A text without secrets is returned unchanged,
        others are printed from their syntax tree. In invalid GraphQL every string is removed,
        because its meaning is unknown.
        """
        try:
            document = parse(text, no_location=True)
        except (GraphQLError, RecursionError):
            return _LITERAL.sub(f'"{REDACTED}"', text)
        visitor = _Literals(self)
        try:
            redacted = visit(document, visitor)
            return print_ast(redacted) if visitor.found else text
        except RecursionError:
            return _LITERAL.sub(f'"{REDACTED}"', text)

    def message(self, text: str) -> str:
        """An error message without the values that were removed so far."""
        for value in sorted(self.removed, key=len, reverse=True):
            text = text.replace(value, REDACTED)
        return text

    def is_secret(self, path: tuple[str, ...]) -> bool:
        """Whether a value at this path is a secret by its name or by the settings."""
        dotted = ".".join(path)
        return bool(path and _SECRET_NAME.search(path[-1])) or any(
            fnmatchcase(dotted, pattern) for pattern in self.paths
        )

    def is_secret_value(self, value: str) -> bool:
        """Whether a text looks like a secret at any position."""
        return bool(_SECRET_VALUE.search(value.strip()))

    def remove(self, value: Any) -> None:
        """Records a removed value, so that it is removed from error messages too."""
        self.removed.update(text for text in _texts(value) if len(text) >= _SHORTEST)

    def _walk(self, value: Any, path: tuple[str, ...]) -> Any:
        if value is None:
            return None
        if self.is_secret(path) or (isinstance(value, str) and self.is_secret_value(value)):
            self.remove(value)
            return REDACTED
        if isinstance(value, dict):
            return {key: self._walk(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            return [self._walk(item, path) for item in value]
        return value


class _Literals(Visitor):
    """Replaces secret literals of a document."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction
        self._path: list[str] = []
        self.found = False

    def enter_argument(self, node: ArgumentNode, *_: Any) -> Node | None:
        return self._entered(node.name.value, node)

    def leave_argument(self, *_: Any) -> None:
        self._path.pop()

    def enter_object_field(self, node: ObjectFieldNode, *_: Any) -> Node | None:
        return self._entered(node.name.value, node)

    def leave_object_field(self, *_: Any) -> None:
        self._path.pop()

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> Node | None:
        return self._entered(node.variable.name.value, node)

    def leave_variable_definition(self, *_: Any) -> None:
        self._path.pop()

    def enter_string_value(self, node: StringValueNode, *_: Any) -> Node | None:
        if self._redaction.is_secret_value(node.value):
            return self._replaced(node)
        return None

    def _entered(self, name: str, node: Any) -> Node | None:
        self._path.append(name)
        attribute = "default_value" if isinstance(node, VariableDefinitionNode) else "value"
        value = getattr(node, attribute)
        if value is None or isinstance(value, VariableNode):
            return None
        if not self._redaction.is_secret(tuple(self._path)):
            return None
        setattr(node, attribute, self._replaced(value))
        return None

    def _replaced(self, value: Any) -> StringValueNode:
        self.found = True
        for text in _literals(value):
            self._redaction.remove(text)
        return StringValueNode(value=REDACTED, block=False)


def _literals(node: Any) -> Iterator[str]:
    if isinstance(node, ListValueNode):
        for item in node.values:
            yield from _literals(item)
    elif isinstance(node, ObjectValueNode):
        for item in node.fields:
            yield from _literals(item.value)
    elif isinstance(getattr(node, "value", None), str):
        yield node.value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
