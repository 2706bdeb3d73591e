"""Dagster's instance stays open between the ticks of a code server."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance import InstanceRef, factory

from fraiseql_assets.defs.kept_instance import keep_instances


@pytest.fixture
def ref(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InstanceRef]:
    """An instance of its own, in a process that keeps instances."""
    # Restored after the test.
    monkeypatch.setattr(
        factory, "create_instance_from_ref", create := factory.create_instance_from_ref
    )
    with create(InstanceRef.from_dir(str(tmp_path))):
        keep_instances()
        yield InstanceRef.from_dir(str(tmp_path))


def test_ticks_share_one_instance(ref: InstanceRef) -> None:
    with dg.DagsterInstance.from_ref(ref) as first:
        pass
    assert dg.DagsterInstance.from_ref(ref) is first


def test_the_instance_works_after_a_tick_closed_it(ref: InstanceRef) -> None:
    with dg.DagsterInstance.from_ref(ref):
        pass
    assert dg.DagsterInstance.from_ref(ref).get_runs() == []
