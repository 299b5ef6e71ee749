"""The command ``cosai-nb``."""

from __future__ import annotations


def main(argv: list[str] | None = None) -> int:
    """Run ``cosai-nb`` and return its exit code."""
    raise NotImplementedError
