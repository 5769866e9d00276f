"""Check all of params.yaml, before any other stage begins: a mistake then costs nothing.

DVC removes the outs of a stage before it runs it. This one comes first, and all others depend on its out, whose content
is always the same: a change of params.yaml runs this stage again, and through it no other. What the download depends on
changes with the sample's being needed alone.
"""

from typing import Any

from lib.pipeline.sections import check_machine, check_params, sources
from lib.runtime.arguments import no_options
from lib.runtime.files import replacing
from lib.runtime.paths import Paths
from lib.runtime.stage import main
from lib.sources.clips import SAMPLE


def run(params: dict[str, Any], paths: Paths) -> None:
    """Refuse what is wrong, or write data/processed/params_checked.txt and downloads.txt, and data/raw/same."""
    check_params(params)
    check_machine(params, paths)
    texts = {
        paths.checked: "params.yaml has been checked.\n",
        paths.downloads: f"{SAMPLE if SAMPLE in sources(params) else 'nothing'}\n",
        paths.same_source: "For evaluation.source: same, which tests on data.source.\n",
    }
    for path, text in texts.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    no_options(__doc__)
    main(run)
