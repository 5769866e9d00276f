"""Pages of one file each, of a template, a style and a script, which run nothing else: their policy says so."""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

_HERE = Path(__file__).parent


def asset(name: str) -> str:
    """A file of this folder."""
    return (_HERE / name).read_text(encoding="utf-8")


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template with the parts that it names in {{ }}."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], asset(template))


def policy(style: str, script: str, more: str = "") -> str:
    """What the page may do: run its own script, use its own style, and show the pictures inside it; and `more`."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in (script, style)]
    return (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        f"{more}img-src data:; base-uri 'none'; form-action 'none'"
    )
