"""What several test files share."""

from pathlib import Path

import hypothesis
import pytest

# How long an example takes tells of the machine, not of what is tested.
hypothesis.settings.register_profile("palikit", deadline=None)
hypothesis.settings.load_profile("palikit")

SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Test data that is not part of the repository: a tokenizer, real pictures, golden figures."""


def shared(*parts: str) -> Path:
    """A file of the shared test data; the test is skipped where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the shared test data: {Path(*parts)} is absent")
    return path
