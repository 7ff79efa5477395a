"""From a pipeline's line `teacher: ...` to a `Role`: the teacher behind it, its limits, its price, its parameters."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from selfinstruct.errors import ConfigError, nearest
from selfinstruct.limits import Limits
from selfinstruct.pricing import Price, price_of
from selfinstruct.run import Mode, Role
from selfinstruct.teachers import Teacher
from selfinstruct.teachers.connect import connect


class Settings(BaseModel):
    """What a role takes besides the options of its model."""

    model_config = ConfigDict(extra="allow")

    model: str
    concurrency: int = Field(
        16, ge=1, description="requests in flight at most; lowered by itself under overload"
    )
    rpm: int | None = Field(None, ge=1, description="requests a minute")
    tpm: int | None = Field(None, ge=1, description="tokens a minute")
    mode: Mode = Field(
        "realtime", description="batch: the provider's batch API, half the price, answers within a day"
    )
    batch_wait: float | None = Field(
        None, gt=0, description="minutes to wait for batches before the run pauses; default: until they end"
    )
    timeout: float = Field(600.0, gt=0, description="seconds for one attempt, from sending to the last byte")
    price: dict[str, float] | None = Field(
        None, description="dollars a million tokens: {input: 0.15, output: 0.6}"
    )
    params: dict[str, Any] = Field(
        default_factory=dict, description="sampling parameters; they beat the recipe's, null removes one"
    )


def cast(
    models: Mapping[str, str | Mapping[str, Any]], prices: Mapping[str, Price] | None = None
) -> dict[str, Role]:
    """Open the models that play the roles; sends nothing. Roles played by one model at one address share its limits.
    `prices` are the user's own, by model.
    Raises ConfigError naming the role and what is wrong.
    """
    opened = {name: _opened(name, model) for name, model in models.items()}
    gates: dict[tuple[str, str], Limits] = {}
    found = {}
    for name, (settings, teacher) in opened.items():
        gate = _gate_of(teacher)
        together = [others for others, other in opened.values() if _gate_of(other) == gate]
        limits = gates.setdefault(gate, _gate(together))
        if hasattr(teacher, "heard"):
            teacher.heard = limits.heard
        found[name] = Role(
            name=name,
            teacher=teacher,
            params=settings.params,
            limits=limits,
            price=price_of(teacher, settings.price, prices),
            deadline=settings.timeout,
            mode=settings.mode,
            patience=None if settings.batch_wait is None else settings.batch_wait * 60,
        )
    return found


def role(name: str, model: str | Mapping[str, Any]) -> Role:
    """Open the model that plays `name`, as `cast` does."""
    return cast({name: model})[name]


def _gate_of(teacher: Teacher) -> tuple[str, str]:
    """The model and the address it is asked at: what shares limits."""
    return teacher.model, getattr(getattr(teacher, "at", None), "url", "")


def _gate(together: Sequence[Settings]) -> Limits:
    """The limits of a model that plays several roles: the strictest of what is said in any of them."""

    def strictest(option: str) -> Any:
        said = [getattr(each, option) for each in together if option in each.model_fields_set]
        return min(
            (value for value in said if value is not None), default=Settings.model_fields[option].default
        )

    return Limits(strictest("concurrency"), rpm=strictest("rpm"), tpm=strictest("tpm"))


def _opened(name: str, model: str | Mapping[str, Any]) -> tuple[Settings, Teacher]:
    given = {"model": model} if isinstance(model, str) else dict(model)
    for option in given:
        if not isinstance(option, str):
            raise ConfigError(
                f"{name}: there is no option `{option}`", nearest(str(option), Settings.model_fields)
            )
    try:
        settings = Settings(**given)
    except ValidationError as error:
        fault = error.errors()[0]
        option = ".".join(str(part) for part in fault["loc"])
        known = Settings.model_fields.get(option)
        raise ConfigError(
            f"{name}: `{option}`: {fault['msg'].lower()}, got {fault['input']!r}",
            f"{option}: {known.description}" if known and known.description else "",
        ) from None
    for option in settings.model_extra or {}:
        if difflib.get_close_matches(option, Settings.model_fields, n=1, cutoff=0.8):
            raise ConfigError(
                f"{name}: there is no option `{option}`", nearest(option, Settings.model_fields)
            )
    return settings, connect({"model": settings.model, **(settings.model_extra or {})}, role=name)
