"""Links from an asset in Dagster's UI to its code."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

import fraiseql_assets

PACKAGE = Path(fraiseql_assets.__file__)


def with_source_links(
    assets: Sequence[dg.AssetsDefinition], source_url: str | None
) -> Sequence[dg.AssetsDefinition]:
    """The assets with links to their code: at a Git host, or to the file on this machine.

    `source_url` is the URL of the project's folder at the Git host, including the branch.
    """
    local = dg.with_source_code_references(assets)
    repository, tree, branch = (source_url or "").partition("/tree/")
    if tree:
        local = dg.link_code_references_to_git(
            local,
            git_url=repository.removesuffix("/-"),
            git_branch=branch.rstrip("/"),
            file_path_mapping=dg.AnchorBasedFilePathMapping(
                local_file_anchor=PACKAGE,
                file_anchor_path_in_repository=f"{PACKAGE.parent.name}/{PACKAGE.name}",
            ),
        )
    return [each for each in local if isinstance(each, dg.AssetsDefinition)]
