"""What a column of a dataset is, without Arrow, so that Dagster's definitions load without it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a dataset."""

    name: str
    type: str
    """Its Arrow type, as Arrow writes it."""
    description: str
    nullable: bool = False
