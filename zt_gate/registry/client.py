"""A client of an MLflow registry: what `promote`, `watch` and `doctor mlflow` ask of a server, gated or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import printable
from zt_gate.errors import TargetError, ToolError, UsageError
from zt_gate.intake.sealed.place import Probe
from zt_gate.policy.fields import parse_instant
from zt_gate.registry.protected import PROMPT, PROMPT_TAG, SUMMARY_TAG

PROBE = "zt-gate.probe"
"""Resolving an alias of this name tells whether the gate is active."""
ACTIVE = "zt-gate is active: "
"""How the gate begins the answer to a question about itself (`registry.probes`)."""
UNTIL = "zt-gate.until."
"""Before an alias of a model, this asks when its verdict ends."""
SEALED, BUCKET_POLICY = "sealed", "policy"
"""With a number after a dot, these ask what the place of sealed copies was seen to do, and for its policy."""
NO_END = "no verdict ends"
TIME = "%Y-%m-%dT%H:%M:%SZ"
PAGE = 250
"""Characters of a text that one answer holds; MLflow's errors are cut at 400."""
_MOST_PAGES = 60
_VERSION = re.compile(r"models:/+([^/@]+)/([1-9][0-9]{0,9})")
_NAMED = re.compile(r"models:/+([^/@]+)(?:@([^/@]+)|/([A-Za-z]+))?")


class RefusedError(Exception):
    """The server's gate refused; the message is its sentence."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a registered model."""

    name: str
    number: int

    @property
    def uri(self) -> str:
        """How a user names it."""
        return f"models:/{self.name}/{self.number}"


class RegistryClient:
    """Talks to the server that MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI names.

    Args:
        uri: another server.

    Raises:
        ToolError: MLflow is not installed.
    """

    def __init__(self, uri: str | None = None) -> None:
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise ToolError(f"this needs MLflow: {error}", "pip install mlflow-skinny") from error
        self._error = MlflowException
        with self._translated("the registry"):
            self._client: Any = MlflowClient(tracking_uri=uri, registry_uri=uri)

    @property
    def _inner(self) -> Any:
        """Return the client that `MlflowClient` itself uses: that one knows prompts, and keeps them from its users."""
        return self._client._get_registry_client()  # noqa: SLF001 - there is no other way

    def version(self, target: str) -> Version:
        """Return the version that `models:/name/version` or `models:/name@alias` names now.

        Raises:
            UsageError: it names something else, such as a logged model, which has no aliases.
            TargetError: there is none.
            RefusedError: the alias does not resolve, since its verdict does not hold.
        """
        if (found := _VERSION.fullmatch(target)) is not None:
            return Version(found.group(1), int(found.group(2)))
        named = _NAMED.fullmatch(target)
        if named is None or named.group(2) is None:
            advice = "name models:/NAME/VERSION or models:/NAME@ALIAS"
            raise UsageError(f"{printable(target, 120)} is no version of a registered model", advice)
        with self._translated(target):
            version = self._inner.get_model_version_by_alias(named.group(1), named.group(2))
            return Version(named.group(1), int(version.version))

    def submit_summary(self, version: Version, summary: str) -> None:
        """Hand in a signed summary. A server without the gate would keep it as a tag, so `gate` comes first.

        Raises:
            RefusedError: the gate does not believe it.
            TargetError: there is no such version.
        """
        with self._translated(version.uri):
            self._client.set_model_version_tag(version.name, str(version.number), SUMMARY_TAG, summary)

    def set_alias(self, version: Version, alias: str) -> None:
        """Set an alias.

        Raises:
            RefusedError: the gate refuses.
            TargetError: there is no such version, or MLflow does not take such an alias.
        """
        with self._translated(version.uri):
            self._client.set_registered_model_alias(version.name, alias, str(version.number))

    def delete_alias(self, name: str, alias: str) -> None:
        """Take an alias away; errors as `set_alias`."""
        with self._translated(name):
            self._inner.delete_registered_model_alias(name, alias)

    def resolve(self, name: str, alias: str) -> Version:
        """Return the version that an alias leads to; errors as `version`."""
        return self.version(f"models:/{name}@{alias}")

    def aliases(self, name: str) -> dict[str, int]:
        """Return what is stored about a model's aliases, which need not resolve.

        Raises:
            TargetError: there is no such model.
        """
        with self._translated(name):
            stored: dict[str, Any] = self._inner.get_registered_model(name).aliases
            return {alias: int(number) for alias, number in stored.items()}

    def models(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield every registered model with its stored aliases. MLflow's search leaves prompts out unless asked."""
        for wanted in ("", f"tags.`{PROMPT_TAG}` = 'true'"):
            token = None
            while True:
                with self._translated("the registry"):
                    search = self._client.search_registered_models
                    page = search(filter_string=wanted or None, max_results=1000, page_token=token)
                for model in page:
                    yield model.name, {alias: int(number) for alias, number in (model.aliases or {}).items()}
                token = page.token
                if not token:
                    break

    def is_prompt(self, version: Version) -> bool:
        """Whether the gate says that a version is of a prompt, which has no files that could be checked."""
        try:
            with self._translated(version.uri):
                self._inner.get_model_version_download_uri(version.name, str(version.number))
        except (RefusedError, TargetError) as refusal:
            return PROMPT in str(refusal)
        return False

    def numbers(self, name: str) -> list[int]:
        """Return the versions of a model, the newest first; errors as `aliases`."""
        found: list[int] = []
        token, quoted = None, name.replace("'", "''")
        while True:
            with self._translated(name):
                page = self._client.search_model_versions(f"name='{quoted}'", max_results=1000, page_token=token)
            found += [int(version.version) for version in page if version.name == name]
            token = page.token
            if not token:
                return sorted(found, reverse=True)

    def gate(self) -> str:
        """Return what the server's gate says about itself; empty where there is none.

        Raises:
            TargetError: the server does not answer.
        """
        return self._ask(PROBE, "probe")

    def until(self, name: str, alias: str) -> datetime | None:
        """Return when the verdict ends that an alias rests on; None where it rests on none, or the gate does not say.

        Raises:
            TargetError: the server does not answer.
        """
        try:
            return parse_instant(self._ask(name, UNTIL + alias))
        except ValueError:
            return None

    def sealed_probes(self) -> list[Probe]:
        """Return what the server's place of sealed copies was seen to do; nothing where its gate does not say.

        Raises:
            TargetError: the server does not answer, or with something else.
        """
        try:
            found = [parse_json(page.encode()) for page in self._pages(SEALED)]
            return [Probe(ok is True, str(name), str(fact), str(fix)) for ok, name, fact, fix in found]
        except (TypeError, ValueError) as error:
            raise TargetError(f"the gate's answer about sealed copies cannot be read: {error}") from error

    def bucket_policy(self) -> str:
        """Return the policy to set on the bucket of sealed copies; empty where they lie in none. Errors as above."""
        try:
            return str(parse_json(text.encode())) if (text := "".join(self._pages(BUCKET_POLICY))) else ""
        except ValueError as error:
            raise TargetError(f"the gate's answer about its bucket cannot be read: {error}") from error

    def _pages(self, kind: str) -> Iterator[str]:
        for number in range(1, _MOST_PAGES + 1):
            head, _, page = self._ask(PROBE, f"{kind}.{number}").partition(" ")
            at, slash, count = head.partition("/")
            if not slash or at != str(number) or not count.isdecimal() or number > int(count):
                return
            yield page

    def _ask(self, name: str, question: str) -> str:
        """Return what the gate answers; empty where there is no gate, or no such model."""
        try:
            self._inner.get_model_version_by_alias(name, question)
        except self._error as error:
            text = _message(error)
            if text.startswith(ACTIVE):
                return printable(text.removeprefix(ACTIVE), 400)
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"):
                return ""
            raise TargetError(f"the registry does not answer: {printable(text, 160)}") from error
        return ""

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Turn MLflow's errors into ours."""
        try:
            yield
        except self._error as error:
            text = printable(_message(error), 400)
            if error.error_code == "PERMISSION_DENIED" and text.startswith("zt-gate"):
                raise RefusedError(text) from error
            advice = "set MLFLOW_TRACKING_URI to the server, and check the name"
            raise TargetError(f"{printable(what, 120)}: {text}", advice) from error


def _message(error: Any) -> str:
    """Return what the server said, without the code that MLflow's client puts before it."""
    text = str(error.message)
    return text.removeprefix(f"{error.error_code}: ")
