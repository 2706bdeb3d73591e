"""The images, built once for a session, and the services of docker-compose.yml in containers."""

from collections.abc import Iterator

import pytest

from tests.images.composition import Composition, build_images, prepare
from tests.stacks import own_folder


@pytest.fixture(scope="session")
def images() -> None:
    build_images()


@pytest.fixture(scope="session")
def composition(images: None) -> Iterator[Composition]:
    """All services, healthy. Runs execute in the code server's container at first."""
    with own_folder() as folder:
        prepare(folder)
        composition = Composition(folder)
        # What a session that was killed has left.
        composition.down()
        try:
            composition.up()
            yield composition
        finally:
            composition.down()
