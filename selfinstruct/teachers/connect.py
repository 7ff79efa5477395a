"""From a line in a pipeline to a teacher that answers, and the checks before the first paid call."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selfinstruct.errors import ConfigError, nearest
from selfinstruct.teachers import Teacher
from selfinstruct.teachers.endpoint import Endpoint, endpoint_name

# Imported when asked for: aiohttp takes a third of a second.
_PROVIDERS = {"openai": "OpenAITeacher", "anthropic": "AnthropicTeacher"}
_FORMS = "openai/NAME, anthropic/NAME, offline, or my_module:MyTeacher"
_BASE_URL_ENV = {"openai": "OPENAI_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL"}


def connect(spec: str | Mapping[str, Any], *, role: str = "teacher") -> Teacher:
    """Opens the teacher that `spec` names; nothing is sent yet.

    `spec` is a model (`openai/gpt-5-mini`, `anthropic/claude-haiku-4-5`, `offline`, `my_module:MyTeacher`) or
    a mapping with `model` and options. For openai and anthropic: `base_url` (a server of one's own that
    speaks that format), `key_env` (the variable that holds its key) or `key_file` (a file that only its owner may
    read), `endpoint` (a lasting name for that
    server, so that moving it to another port keeps what was paid), `structured` and, for openai, `raw` (what
    that server can). For offline and classes of one's own: the keyword arguments of the class. `role` is the
    word for it in errors.

    Without `base_url`, a set OPENAI_BASE_URL or ANTHROPIC_BASE_URL counts as if it was written here, and so
    is part of the teacher's identity; the key is then the provider's usual one. A written `base_url` gets no
    key but the one that `key_env` names: a pipeline from elsewhere must not send a key where its author
    likes.

    Raises ConfigError.
    """
    options: dict[str, Any] = {"model": spec} if isinstance(spec, str) else dict(spec)
    model = options.pop("model", None)
    if not isinstance(model, str) or not model:
        raise ConfigError(f"{role}: no model is named", f"model: {_FORMS}")
    provider, slash, name = model.partition("/")
    if slash and provider in _PROVIDERS:
        if not name:
            raise ConfigError(f"{role}: {model!r} names no model", f"write {provider}/NAME")
        return _remote(provider, name, options, role)
    if model == "offline":
        cls = importlib.import_module("selfinstruct.teachers.offline").OfflineTeacher
        return _build(cls, options, f"{role}: offline")
    module, colon, attribute = model.partition(":")
    if colon and module and attribute and "/" not in model:
        return _own_class(module, attribute, options, f"{role}: {model}")
    known = nearest(provider, [*_PROVIDERS, "offline"])
    raise ConfigError(f"{role}: no provider serves {model!r}", f"write {_FORMS}; {known}")


def check(teacher: Teacher) -> None:
    """What can be known before the first paid call: the SDK is there, the key is set. Raises ConfigError."""
    package = getattr(teacher, "package", "")
    if package and importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"{teacher.model} needs the package {package}", f'pip install "selfinstruct[{package}]"'
        )
    at = getattr(teacher, "at", None)
    if isinstance(at, Endpoint):
        at.check()


def _remote(provider: str, name: str, options: dict[str, Any], role: str) -> Teacher:
    wire = importlib.import_module(f"selfinstruct.teachers.{provider}")
    cls = getattr(wire, _PROVIDERS[provider])
    allowed = _keywords(cls) - {"name", "at", "transport"} | {"base_url", "key_env", "key_file", "endpoint"}
    _only(options, allowed, f"{role}: {provider}/{name}")
    base_url, endpoint = options.pop("base_url", None), options.pop("endpoint", None)
    key_env, key_file = options.pop("key_env", None), options.pop("key_file", None)
    for option, value in (
        ("base_url", base_url),
        ("endpoint", endpoint),
        ("key_env", key_env),
        ("key_file", key_file),
    ):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise ConfigError(
                f"{role}: {option} must be text, not {value!r}", f"leave {option} out, or fill it in"
            )
    if key_env is not None and not re.fullmatch(
        r"[A-Z_][A-Z0-9_]*", key_env
    ):  # perhaps the key: don't repeat it
        raise ConfigError(
            f"{role}: key_env is not the name of a variable", "key_env: MY_KEY, and export MY_KEY=..."
        )
    if key_env is not None and key_file is not None:
        raise ConfigError(f"{role}: both key_env and key_file are given", "keep the one that holds the key")
    for option in ("structured", "raw"):
        if not isinstance(options.get(option), bool | None):
            raise ConfigError(f"{role}: {option} must be true or false, not {options[option]!r}")
    if base_url is None and (ambient := os.environ.get(_BASE_URL_ENV[provider], "").strip()):
        base_url, key_env = ambient, key_env or ("" if key_file else wire.KEY_ENV)
    if base_url is None:
        if endpoint is not None:
            raise ConfigError(
                f"{role}: endpoint names a server of your own", "add its base_url, or leave endpoint out"
            )
        at = Endpoint(f"{provider}/{name}", wire.URL, key_env or wire.KEY_ENV, key_file=key_file or "")
    else:
        base_url = base_url.strip().rstrip("/")
        identity = f"{provider}/{name}@{endpoint or endpoint_name(base_url)}"
        at = Endpoint(identity, base_url, key_env or "", own=True, key_file=key_file or "")
    teacher: Teacher = cls(name, at, **options)
    return teacher


def _own_class(module: str, attribute: str, options: dict[str, Any], where: str) -> Teacher:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does; the command's own entry point does not
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise ConfigError(
                f"{where}: {error}", "the module itself was found; install what it imports"
            ) from None
        raise ConfigError(
            f"{where}: there is no module {module!r}", f"looked in {here} and the installed packages"
        ) from None
    cls = getattr(found, attribute, None)
    if not callable(cls):
        classes = [name for name, value in vars(found).items() if inspect.isclass(value)]
        raise ConfigError(f"{where}: {module} has no class {attribute!r}", nearest(attribute, classes))
    return _build(cls, options, where)


def _build(cls: Callable[..., Any], options: dict[str, Any], where: str) -> Teacher:
    _only(options, _keywords(cls), where)
    try:
        teacher = cls(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}", "see the class for what its options may be") from None
    if not isinstance(teacher, Teacher):
        missing = [
            name for name in ("model", "structured", "raw", "complete", "close") if not hasattr(teacher, name)
        ]
        raise ConfigError(
            f"{where} is not a teacher: it lacks {', '.join(missing)}", "see selfinstruct.teachers.Teacher"
        )
    return teacher


def _keywords(cls: Callable[..., Any]) -> set[str]:
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name for name, p in inspect.signature(cls).parameters.items() if p.kind in named}


def _only(options: Mapping[str, Any], allowed: set[str], where: str) -> None:
    for name in options:
        if name not in allowed:
            raise ConfigError(f"{where}: unknown option `{name}`", nearest(str(name), allowed))
