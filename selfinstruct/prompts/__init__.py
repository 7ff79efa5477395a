"""The prompts: Jinja files `<recipe>/<name>.md`, split into messages by lines `=== system ===`, `=== user ===`.

A file of the same name in a folder `prompts/` beside the pipeline wins over the shipped one. The split into roles
happens before rendering, so that text put into a slot can never become a message of its own.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from jinja2 import BaseLoader, FileSystemLoader, StrictUndefined, Template, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from selfinstruct.errors import ConfigError, nearest
from selfinstruct.sample import Message, Role, digest

SHIPPED = Path(__file__).parent
_MARK = re.compile(r"^=== (system|user|assistant) ===\n", re.MULTILINE)


class Prompts:
    """The shipped prompts, and those in `beside` that replace them."""

    def __init__(self, beside: Path | None = None) -> None:
        self._folders = [folder for folder in (beside, SHIPPED) if folder is not None and folder.is_dir()]
        self._env = ImmutableSandboxedEnvironment(
            loader=cast(BaseLoader, FileSystemLoader(self._folders)),
            undefined=StrictUndefined,
            autoescape=False,  # the result is a prompt, not a page
            trim_blocks=True,
        )
        self._env.filters["tojson"] = _plain_json
        self._parts: dict[str, list[tuple[Role, Template]]] = {}

    def names(self) -> list[str]:
        return sorted(
            {
                path.relative_to(folder).with_suffix("").as_posix()
                for folder in self._folders
                for path in folder.rglob("*.md")
            }
        )

    def source(self, name: str) -> str:
        """The text of the file. Raises ConfigError when there is no such prompt."""
        for folder in self._folders:
            path = folder / f"{name}.md"
            if path.is_file():
                return path.read_text("utf-8")
        raise ConfigError(f"there is no prompt {name!r}", nearest(name, self.names()))

    def render(self, name: str, **slots: Any) -> tuple[Message, ...]:
        """The messages of a prompt, filled in. Raises ConfigError naming the prompt and what is wrong in it."""
        try:
            if name not in self._parts:
                self._parts[name] = self._compile(name)
            return tuple(Message(role, part.render(slots).strip()) for role, part in self._parts[name])
        except TemplateNotFound as error:
            raise ConfigError(f"prompt {name!r} includes {error.name!r}, which does not exist") from None
        except ConfigError:
            raise
        except (
            Exception
        ) as error:  # a template of the user's may raise anything: 1 / 0, range(10**9), text + number
            raise ConfigError(
                f"prompt {name!r}: {error}", f"this step fills in: {', '.join(sorted(slots))}"
            ) from None

    def _compile(self, name: str) -> list[tuple[Role, Template]]:
        pieces = _MARK.split(self.source(name))[1:]
        if not pieces:
            raise ConfigError(f"prompt {name!r} has no message", "begin one with a line `=== user ===`")
        roles, texts = pieces[::2], pieces[1::2]
        return [
            (cast(Role, role), self._env.from_string(text)) for role, text in zip(roles, texts, strict=True)
        ]

    @cached_property
    def digest(self) -> str:
        """Names every prompt's text: a changed wording changes it."""
        return digest({name: self.source(name) for name in self.names()})


def _plain_json(value: Any) -> str:
    """JSON for a reader that is a model: letters stay letters, nothing is escaped for HTML."""
    return json.dumps(value, ensure_ascii=False)
