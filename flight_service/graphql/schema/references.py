"""The forms in which compilers write types and deprecations, turned into one."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from flight_service.graphql.errors import SchemaInvalid

WRAPPERS = {"Object", "Enum", "Scalar", "Input", "Interface", "Union"}
SPELLINGS = {
    "Id": "ID",
    "Uuid": "UUID",
    "Bool": "Boolean",
    "Json": "JSON",
    "Datetime": "DateTime",
    # As FraiseQL shows them: a dense vector is a list of numbers, the others have a text form.
    "Vector": "JSON",
    "HalfVector": "JSON",
    "BitVector": "String",
    "SparseVector": "String",
}
"""The scalars that clients see under another name than the compiler writes."""
NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*\Z")
NULLABLE_ITEMS = {"nullable_items"}
REFERENCES = (
    ("types", "fields", "field_type"),
    ("interfaces", "fields", "field_type"),
    ("input_types", "fields", "field_type"),
    ("queries", "arguments", "arg_type"),
    ("mutations", "arguments", "arg_type"),
    ("subscriptions", "arguments", "arg_type"),
    ("directives", "arguments", "arg_type"),
    ("enums", "values", ""),
)


def normalise(raw: dict[str, Any]) -> None:
    """Turns what a file says into the forms that `schema.compiled` has.

    Raises:
        SchemaInvalid: a type is written in an unknown form; with its place.
    """
    inputs = {one.get("name") for _, one in _dicts(raw.get("input_types"))}
    for section, members, key in REFERENCES:
        for n, owner in _dicts(raw.get(section)):
            _deprecated(owner)
            place = f"$.{section}[{n}]"
            if "return_type" in owner:
                owner["return_type"] = reference(owner["return_type"], f"{place}.return_type")
            for m, member in _dicts(owner.get(members)):
                _deprecated(member)
                # Input fields have been written with either key.
                written = key if key in member else "arg_type"
                if written in member:
                    found = reference(member[written], f"{place}.{members}[{m}].{written}")
                    if section in ("types", "interfaces"):
                        # An output of an input's type is whatever the document holds.
                        found = _with_json_for(found, inputs)
                    member[key] = found
                if section == "input_types":
                    _default(member, f"{place}.fields[{m}].default_value")


def reference(written: Any, place: str) -> dict[str, Any]:
    """A type's reference in the form of `schema.compiled.Ref`.

    Raises:
        SchemaInvalid: it is in none of the known forms.
    """
    match written:
        case str() if (found := _from_text(written.strip())) is not None:
            return found
        case {"List": {"item": item, **rest}} if len(written) == 1 and set(rest) <= NULLABLE_ITEMS:
            nullable = rest.get("nullable_items", False)
            return {"of": reference(item, f"{place}.List.item"), "of_nullable": nullable}
        case {"List": inner} if len(written) == 1:
            never_null = isinstance(inner, dict) and "NonNull" in inner
            return {"of": reference(inner, f"{place}.List"), "of_nullable": not never_null}
        case {"NonNull": inner} if len(written) == 1:
            return reference(inner, f"{place}.NonNull")
        case dict() if len(written) == 1:
            ((kind, name),) = written.items()
            if kind in WRAPPERS and isinstance(name, str) and NAME.match(name):
                return {"name": SPELLINGS.get(name, name)}
    raise SchemaInvalid(
        f"{msgspec.json.encode(written).decode()} is no type reference: expected a name, a type as "
        f'GraphQL writes it, {{"List": …}}, or one of {", ".join(sorted(WRAPPERS))} with a name '
        f"- at `{place}`"
    )


def _from_text(text: str) -> dict[str, Any] | None:
    """A type as GraphQL writes it. Whether the whole may be null is said elsewhere."""
    text = text.removesuffix("!").strip()
    if text.startswith("[") and text.endswith("]"):
        inner = text[1:-1].strip()
        of = _from_text(inner)
        return None if of is None else {"of": of, "of_nullable": not inner.endswith("!")}
    return {"name": SPELLINGS.get(text, text)} if NAME.match(text) else None


def _with_json_for(found: dict[str, Any], inputs: set[Any]) -> dict[str, Any]:
    if "of" in found:
        return {**found, "of": _with_json_for(found["of"], inputs)}
    return {"name": "JSON"} if found["name"] in inputs else found


def _deprecated(member: dict[str, Any]) -> None:
    if isinstance(member.get("deprecation"), dict):
        member.setdefault("deprecated", member["deprecation"])


def _default(member: dict[str, Any], place: str) -> None:
    """The default of an input field, which is written as the text of its JSON."""
    written = member.get("default_value")
    if written is None:
        member.pop("default_value", None)
    elif isinstance(written, str):
        try:
            member["default_value"] = msgspec.json.decode(written)
        except msgspec.DecodeError:
            # A name without quotes is an enum's.
            if not NAME.match(written):
                raise SchemaInvalid(f"{written!r} is no JSON - at `{place}`") from None


def _dicts(values: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    if isinstance(values, list):
        yield from ((n, value) for n, value in enumerate(values) if isinstance(value, dict))
