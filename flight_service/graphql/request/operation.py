"""A request's operation: parsed, validated, its variables coerced, its fragments resolved.

The result is a tree of the selected fields in the order of the document. Aliases have become keys,
and `@include` and `@skip` have been applied.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSkipDirective,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    is_composite_type,
    print_ast,
    value_from_ast_untyped,
)
from graphql.execution.execute import get_field_def
from graphql.execution.values import (
    get_argument_values,
    get_directive_values,
    get_variable_values,
)

from flight_service.graphql.errors import LimitExceeded, QueryRefused
from flight_service.graphql.request.arguments import check_conditions
from flight_service.graphql.request.document import read_document
from flight_service.graphql.request.selection import Limits, Operation, Root, Selected
from flight_service.graphql.schema.graphql_schema import Schema

TOKENS_PER_FIELD = 20
TYPENAME = "__typename"


def read_operation(
    schema: Schema,
    text: str,
    variables: Mapping[str, Any] | None,
    operation_name: str | None,
    limits: Limits,
    *,
    hide_suggestions: bool = False,
) -> Operation:
    """Parses and validates a request against the schema. With `hide_suggestions`, errors do not
    suggest names of the schema.

    Raises:
        QueryUnparsable, QueryRefused: with all errors.
        LimitExceeded: it exceeds a limit, which the message names.
    """
    read = read_document(
        schema.graphql, text, limits.fields * TOKENS_PER_FIELD, hide_suggestions=hide_suggestions
    )
    document = read.document
    definition = _chosen(read.typed, operation_name)
    coerced = get_variable_values(
        schema.graphql,
        definition.variable_definitions or (),
        dict(variables or {}),
        hide_suggestions=hide_suggestions,
    )
    if isinstance(coerced, list):
        raise QueryRefused.of(coerced)
    return _Reader(schema, document, coerced, dict(variables or {}), limits).read(definition)


def _chosen(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if name is None and len(operations) == 1:
        return operations[0]
    if not operations:
        raise QueryRefused("The document has no operation, only fragments.")
    names = ", ".join(repr(o.name.value) for o in operations if o.name)
    if name is None:
        raise QueryRefused(f"The document has several operations: name one of {names}.")
    for operation in operations:
        if operation.name and operation.name.value == name:
            return operation
    raise QueryRefused(
        f"The document has no operation {name!r}; there is {names or 'an unnamed one'}."
    )


class _Reader:
    def __init__(
        self,
        schema: Schema,
        document: DocumentNode,
        variables: dict[str, Any],
        raw_variables: dict[str, Any],
        limits: Limits,
    ) -> None:
        self._schema = schema
        self._document = document
        self._variables = variables
        self._given = raw_variables
        self._raw_variables = dict(raw_variables)
        self._limits = limits
        self._count = 0
        self._fragments = {
            d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)
        }

    def read(self, definition: OperationDefinitionNode) -> Operation:
        kind = definition.operation.value
        root_type = self._schema.graphql.get_root_type(definition.operation)
        if root_type is None:
            raise QueryRefused(f"The schema has no {kind}s.")
        for variable in definition.variable_definitions or ():
            name = variable.variable.name.value
            if name not in self._raw_variables and variable.default_value is not None:
                self._raw_variables[name] = value_from_ast_untyped(variable.default_value)
        possible = frozenset((root_type.name,))
        roots = tuple(
            self._root(key, nodes)
            for key, nodes in self._collect([definition.selection_set], possible).items()
        )
        complexity = sum(_complexity(root.selected, 1) for root in roots)
        if complexity > self._limits.complexity:
            raise LimitExceeded(
                f"The operation has a complexity of {complexity:,} (each field counts one, and ten "
                f"times as much in each list within a list). FRAISEQL_GRAPHQL_MAX_COMPLEXITY "
                f"allows {self._limits.complexity:,}."
            )
        return Operation(kind, roots, self._document, definition, self._given)

    def _root(self, key: str, nodes: "list[tuple[frozenset[str], FieldNode]]") -> Root:
        selected = self._selected(key, nodes, depth=1)
        (types, node) = nodes[0]
        (owner,) = types
        definition = self._definition(owner, node)
        try:
            arguments = get_argument_values(definition, node, self._variables)
        except GraphQLError as error:
            raise QueryRefused.of([error]) from error
        written = {
            argument.name.value: value_from_ast_untyped(argument.value, self._raw_variables)
            for argument in node.arguments
        }
        check_conditions(arguments, self._limits.conditions, self._limits.depth)
        return Root(selected, arguments, written, tuple(one for _, one in nodes))

    def _selected(
        self, key: str, nodes: "list[tuple[frozenset[str], FieldNode]]", depth: int
    ) -> Selected:
        if depth > self._limits.depth:
            raise LimitExceeded(
                f"{key!r} lies {depth} levels deep. FRAISEQL_GRAPHQL_MAX_DEPTH allows "
                f"{self._limits.depth}.",
                locations=[_location(nodes[0][1])],
            )
        types, node = nodes[0]
        definition = self._definition(next(iter(sorted(types))), node)
        fields: dict[str, frozenset[str]] = {}
        for types, one in nodes:
            name = one.name.value
            fields[name] = fields.get(name, frozenset()) | types
            self._same_composite(definition, types, one)
        children: tuple[Selected, ...] = ()
        named = get_named_type(definition.type)
        if named.name.startswith("__"):
            for _, one in nodes:
                self._count_introspection(named, one)
        elif is_composite_type(named):
            possible = self._possible(named)
            sets = [one.selection_set for _, one in nodes if one.selection_set]
            children = tuple(
                self._selected(child, found, depth + 1)
                for child, found in self._collect(sets, possible).items()
            )
        return Selected(
            key,
            definition.type,
            tuple((types, name) for name, types in fields.items()),
            children,
            _location(node),
        )

    def _count_introspection(self, named: Any, node: FieldNode) -> None:
        """Counts the fields of introspection, which graphql-core executes."""
        if node.selection_set is None:
            return
        owner = frozenset((named.name,))
        for _, child in self._fields(node.selection_set, owner):
            kind = get_named_type(self._definition(named.name, child).type)
            self._count_introspection(kind, child)

    def _same_composite(self, first: GraphQLField, types: frozenset[str], node: FieldNode) -> None:
        """Refuses objects of different types under one key: a column has one type."""
        for owner in types:
            other = get_named_type(self._definition(owner, node).type)
            if is_composite_type(other) and other.name != get_named_type(first.type).name:
                raise QueryRefused(
                    f"{print_ast(node.name)!r} is of different types in different members. "
                    "Give one of them an alias.",
                    locations=[_location(node)],
                )

    def _definition(self, owner: str, node: FieldNode) -> GraphQLField:
        parent = self._schema.graphql.type_map[owner]
        assert isinstance(parent, GraphQLObjectType)
        definition = get_field_def(self._schema.graphql, parent, node)
        assert definition is not None, "validated"
        return definition

    def _collect(
        self, sets: Iterable[SelectionSetNode], possible: frozenset[str]
    ) -> dict[str, list[tuple[frozenset[str], FieldNode]]]:
        found: dict[str, list[tuple[frozenset[str], FieldNode]]] = {}
        for selection_set in sets:
            for types, node in self._fields(selection_set, possible):
                key = node.alias.value if node.alias else node.name.value
                found.setdefault(key, []).append((types, node))
        return found

    def _fields(
        self, selection_set: SelectionSetNode, possible: frozenset[str]
    ) -> Iterator[tuple[frozenset[str], FieldNode]]:
        for node in selection_set.selections:
            self._count += 1
            if self._count > self._limits.fields:
                raise LimitExceeded(
                    f"The operation selects more than {self._limits.fields} fields, fragments "
                    "counted as often as they are spread. FRAISEQL_GRAPHQL_MAX_FIELDS allows "
                    "no more."
                )
            if not self._included(node):
                continue
            match node:
                case FieldNode():
                    yield possible, node
                case InlineFragmentNode(type_condition=condition, selection_set=inner):
                    narrowed = self._narrowed(possible, condition.name.value if condition else None)
                    if narrowed:
                        yield from self._fields(inner, narrowed)
                case FragmentSpreadNode(name=name):
                    fragment = self._fragments[name.value]
                    narrowed = self._narrowed(possible, fragment.type_condition.name.value)
                    if narrowed:
                        yield from self._fields(fragment.selection_set, narrowed)

    def _narrowed(self, possible: frozenset[str], condition: str | None) -> frozenset[str]:
        if condition is None:
            return possible
        named = self._schema.graphql.type_map[condition]
        return possible & self._possible(named)

    def _possible(self, named: Any) -> frozenset[str]:
        """The object types that a value of a composite type can have."""
        if isinstance(named, GraphQLObjectType):
            return frozenset((named.name,))
        return frozenset(one.name for one in self._schema.graphql.get_possible_types(named))

    def _included(self, node: Any) -> bool:
        skip = get_directive_values(GraphQLSkipDirective, node, self._variables)
        include = get_directive_values(GraphQLIncludeDirective, node, self._variables)
        return not (skip and skip["if"]) and not (include and not include["if"])


def _location(node: FieldNode) -> tuple[int, int]:
    assert node.loc is not None
    return node.loc.start_token.line, node.loc.start_token.column


def _complexity(selected: Selected, weight: int) -> int:
    return weight + sum(
        _complexity(child, weight * 10 if str(child.type).startswith("[") else weight)
        for child in selected.children
    )
