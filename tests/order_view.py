"""A view with a compiled schema that fails on an order without a quantity."""

import json
from pathlib import Path
from typing import Any

from adbc_driver_postgresql import dbapi

ORDER = "8f14e45f-ceea-467f-a0c4-5f7d1c5b6c1e"
"""The order on which it fails."""
TABLES = f"""
CREATE TABLE tb_order (id uuid PRIMARY KEY, total int NOT NULL, quantity int NOT NULL);
INSERT INTO tb_order VALUES ('{ORDER}', 100, 0);
CREATE VIEW v_order AS
SELECT id, jsonb_build_object('id', id, 'price', total / quantity) AS data FROM tb_order;
"""
COMPILED: dict[str, Any] = {
    "types": [
        {
            "name": "Order",
            "sql_source": "v_order",
            "jsonb_column": "data",
            "fields": [
                {"name": "id", "field_type": "ID", "nullable": False},
                {"name": "price", "field_type": "Int", "nullable": True},
            ],
        }
    ],
    "queries": [
        {
            "name": "orders",
            "return_type": "Order",
            "returns_list": True,
            "sql_source": "v_order",
            "jsonb_column": "data",
            "auto_params": {"has_where": True},
            "arguments": [],
        }
    ],
    "mutations": [],
    "subscriptions": [],
}


def write_schema(folder: Path) -> Path:
    path = folder / "schema.compiled.json"
    path.write_text(json.dumps(COMPILED))
    return path


def create(database_url: str) -> None:
    with dbapi.connect(database_url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executescript(TABLES)
