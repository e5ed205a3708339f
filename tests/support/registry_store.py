"""What tests of the gated store share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException


def denied(act: Callable[[], Any]) -> str:
    """Make sure that the gate refuses, in one sentence of at most 200 characters, and return it."""
    with pytest.raises(MlflowException) as caught:
        act()
    message: str = caught.value.message
    assert caught.value.error_code == "PERMISSION_DENIED", message
    assert message.startswith("zt-gate: "), message
    assert len(message.split(". See ", maxsplit=1)[0]) <= 200, message
    assert "\n" not in message
    return message


def bring(store: Any, name: str, version: Any, summary: str) -> None:
    store.set_model_version_tag(name, version, ModelVersionTag("zt-gate.summary", summary))


def tag(key: str, value: str = "yes") -> ModelVersionTag:
    return ModelVersionTag(key, value)
