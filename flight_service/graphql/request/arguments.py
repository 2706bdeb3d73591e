"""Limits the size of a field's arguments."""

from collections.abc import Mapping
from typing import Any

from flight_service.graphql.errors import LimitExceeded


def check_conditions(arguments: Mapping[str, Any], limit: int, depth: int) -> None:
    """Refuses arguments with too many conditions, or with conditions that are nested too deeply.

    Raises:
        LimitExceeded: names the setting.
    """
    count = 0
    waiting: list[tuple[Any, int]] = [(one, 1) for one in arguments.values()]
    while waiting:
        one, level = waiting.pop()
        if isinstance(one, Mapping):
            inner = list(one.values())
        elif isinstance(one, list) and any(isinstance(each, Mapping | list) for each in one):
            inner = one
        else:
            count += 1
            inner = []
        if count > limit:
            raise LimitExceeded(
                f"The arguments hold more than {limit:,} conditions, lists of values counted as "
                "one. FRAISEQL_GRAPHQL_MAX_CONDITIONS allows no more."
            )
        # A condition takes two levels: the field, and its operator.
        if level > 2 * depth + 2:
            raise LimitExceeded(
                "The arguments are nested too deeply. FRAISEQL_GRAPHQL_MAX_DEPTH says how deep "
                "they may be."
            )
        waiting += [(each, level + 1) for each in inner]
