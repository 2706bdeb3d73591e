"""The allowed syntax of statements, by sqlglot's expression types. Everything else is refused."""

from sqlglot import exp

SYNTAX: frozenset[type[exp.Expr]] = frozenset(
    (
        exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery, exp.With, exp.CTE,
        exp.TableAlias, exp.Table, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Order,
        exp.Ordered, exp.Limit, exp.Offset, exp.Fetch, exp.Distinct, exp.Qualify, exp.Window,
        exp.WindowSpec, exp.Column, exp.Identifier, exp.Alias, exp.Star, exp.Literal, exp.Boolean,
        exp.Null, exp.Paren, exp.Tuple, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE,
        exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In, exp.Between, exp.Like, exp.ILike,
        exp.SimilarTo, exp.Escape, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.IntDiv,
        exp.Neg, exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot,
        exp.BitwiseLeftShift, exp.BitwiseRightShift, exp.DPipe, exp.DataType, exp.DataTypeParam,
        exp.Interval, exp.Var, exp.Any, exp.All, exp.Bracket, exp.Slice, exp.Lambda,
        exp.Placeholder, exp.Parameter, exp.Filter, exp.WithinGroup, exp.IgnoreNulls,
        exp.RespectNulls, exp.GroupingSets, exp.Cube, exp.Rollup, exp.AtTimeZone, exp.JSONPath,
        exp.JSONPathKey, exp.JSONPathRoot, exp.JSONPathSubscript,
    )
)  # fmt: skip
"""Syntax that reads only the named relations."""
OPERATORS: frozenset[type[exp.Expr]] = frozenset(
    (
        exp.And, exp.Or, exp.Xor, exp.Case, exp.If, exp.Cast, exp.TryCast, exp.Array, exp.Exists,
        exp.Extract, exp.RegexpLike, exp.RegexpILike, exp.JSONExtract, exp.JSONExtractScalar,
        exp.JSONBExtract, exp.JSONBExtractScalar, exp.ArrayContainsAll, exp.ArrayContainedBy,
        exp.ArrayOverlaps, exp.JSONBContains, exp.CurrentDate, exp.CurrentTime,
        exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp, exp.Struct,
    )
)  # fmt: skip
"""Syntax that sqlglot treats as functions."""
TYPES = frozenset(
    getattr(exp.DataType.Type, name)
    for name in (
        "ARRAY", "BIGINT", "BIGDECIMAL", "BINARY", "BOOLEAN", "CHAR", "DATE", "DATE32", "DATETIME",
        "DATETIME64", "DECIMAL", "DECIMAL32", "DECIMAL64", "DECIMAL128", "DECIMAL256", "DOUBLE",
        "FIXEDSTRING", "FLOAT", "INT", "INT128", "INT256", "INTERVAL", "IPV4", "IPV6", "JSON",
        "JSONB", "LOWCARDINALITY", "MAP", "SMALLINT", "STRUCT", "TEXT", "TIME",
        "TIMESTAMP", "TIMESTAMPTZ", "TINYINT", "UBIGINT", "UINT", "UINT128", "UINT256",
        "USMALLINT", "UTINYINT", "UUID", "VARBINARY", "VARCHAR",
    )
)  # fmt: skip
"""The types of casts, without types that a catalogue, a file or a user defines."""
PARTS: dict[type[exp.Expr], frozenset[str]] = {
    exp.Select: frozenset(
        ("with_", "expressions", "distinct", "from_", "joins", "where", "group", "having", "order",
         "limit", "offset", "qualify", "windows", "prewhere")
    ),
    exp.Union: frozenset(
        ("with_", "this", "expression", "distinct", "order", "limit", "offset", "by_name")
    ),
    exp.Subquery: frozenset(("with_", "this", "alias", "joins", "order", "limit", "offset")),
    exp.Table: frozenset(("this", "db", "catalog", "alias", "joins")),
    exp.With: frozenset(("expressions", "recursive")),
    exp.CTE: frozenset(("this", "alias", "scalar", "materialized")),
    exp.Join: frozenset(("this", "on", "using", "kind", "side", "method")),
    exp.In: frozenset(("this", "expressions", "query")),
    exp.Limit: frozenset(("expression", "offset", "expressions")),
    exp.Ordered: frozenset(("this", "desc", "nulls_first")),
    exp.Column: frozenset(("this", "table", "db", "catalog")),
    exp.Cast: frozenset(("this", "to", "safe")),
    exp.DataType: frozenset(("this", "expressions", "nested", "nullable")),
}  # fmt: skip
"""The permitted arguments of larger expressions. Other arguments are refused."""
PARTS[exp.Except] = PARTS[exp.Intersect] = PARTS[exp.Union]
PARTS[exp.TryCast] = PARTS[exp.Cast]
