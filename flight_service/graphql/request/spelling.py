"""What clients of FraiseQL write otherwise than this schema says, put as the schema says it.

FraiseQL finds a query in either spelling of its name. It reads a variable by the place where the
variable stands, whatever type it is declared with, so clients declare conditions as `JSON` and IDs
as `String`.
"""

from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLInputType,
    GraphQLSchema,
    ListTypeNode,
    NamedTypeNode,
    NameNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    TypeNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_named_type,
    is_leaf_type,
    parse_type,
    visit,
)

from flight_service.graphql.schema.naming import Naming, camel

ANYTHING = frozenset(("JSON", "Json"))
"""The declared types that stand for any."""
EARLIER = {"OrderDirection": "SortDirection", "Json": "JSON"}
"""Names that types had before."""
ORDER = "OrderByInput"
NAMING = Naming()


def with_names_of(schema: GraphQLSchema, document: DocumentNode) -> DocumentNode:
    """The document with the schema's names of its queries; the answer keeps the client's."""
    definitions = []
    for one in document.definitions:
        root = isinstance(one, OperationDefinitionNode) and schema.get_root_type(one.operation)
        if isinstance(one, OperationDefinitionNode) and root:
            selections = tuple(
                _named(node, root.fields) if isinstance(node, FieldNode) else node
                for node in one.selection_set.selections
            )
            if selections != one.selection_set.selections:
                chosen = SelectionSetNode(selections=selections, loc=one.selection_set.loc)
                one = _with(one, selection_set=chosen)
        definitions.append(one)
    return DocumentNode(definitions=tuple(definitions), loc=document.loc)


def _named(node: FieldNode, known: Any) -> FieldNode:
    name = node.name.value
    if name in known or name.startswith("__"):
        return node
    for other in (NAMING.snake(name), camel(name)):
        if other in known:
            return _with(
                node,
                name=NameNode(value=other, loc=node.name.loc),
                alias=node.alias or NameNode(value=name, loc=node.name.loc),
            )
    return node


def with_types_of(schema: GraphQLSchema, document: DocumentNode) -> DocumentNode:
    """The document with each variable of the type that its place has, where FraiseQL takes what it
    is declared with."""
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    if not any(one.variable_definitions for one in operations):
        return document
    info = TypeInfo(schema)
    places = _Places(info)
    visit(document, TypeInfoVisitor(info, places))
    definitions = tuple(
        _with(
            one,
            variable_definitions=tuple(
                _typed(schema, definition, places.types.get(definition.variable.name.value))
                for definition in one.variable_definitions
            ),
        )
        if isinstance(one, OperationDefinitionNode) and one.variable_definitions
        else one
        for one in document.definitions
    )
    return DocumentNode(definitions=definitions, loc=document.loc)


class _Places(Visitor):
    """Collects the type of the first place where each variable stands."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info = info
        self.types: dict[str, GraphQLInputType] = {}

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> Any:
        return self.SKIP

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        of = self._info.get_input_type()
        if of is not None:
            self.types.setdefault(node.name.value, of)


def _typed(
    schema: GraphQLSchema, definition: VariableDefinitionNode, place: GraphQLInputType | None
) -> VariableDefinitionNode:
    declared = _base(definition.type)
    if place is None:
        return definition
    wanted = get_named_type(place)
    if declared in ANYTHING and wanted.name not in ANYTHING:
        return _with(definition, type=_node(place, definition.type))
    if declared == wanted.name:
        return definition
    if declared not in schema.type_map:
        is_earlier = EARLIER.get(declared, f"{declared}Input") == wanted.name or (
            # Named after the query since 2.19, after the type before.
            declared.endswith(ORDER) and wanted.name.endswith(ORDER)
        )
        return (
            _with(definition, type=_renamed(definition.type, wanted.name))
            if is_earlier
            else (definition)
        )
    if is_leaf_type(schema.type_map[declared]) and is_leaf_type(wanted):
        return _with(definition, type=_renamed(definition.type, wanted.name))
    return definition


def _base(node: TypeNode) -> str:
    while isinstance(node, ListTypeNode | NonNullTypeNode):
        node = node.type
    assert isinstance(node, NamedTypeNode)
    return node.name.value


def _node(place: GraphQLInputType, declared: TypeNode) -> TypeNode:
    """A place's type as a node, never null where the declared type is not."""
    written = str(place)
    is_required = isinstance(declared, NonNullTypeNode) and not written.endswith("!")
    return parse_type(f"{written}!" if is_required else written)


def _renamed(node: TypeNode, name: str) -> TypeNode:
    """A type node of another name, with the same lists around it."""
    if isinstance(node, ListTypeNode | NonNullTypeNode):
        return _with(node, type=_renamed(node.type, name))
    return NamedTypeNode(name=NameNode(value=name, loc=node.loc), loc=node.loc)


def _with(node: Any, **changes: Any) -> Any:
    """A node with some of its parts replaced."""
    parts = {key: getattr(node, key, None) for key in node.keys}
    return type(node)(**parts | changes)
