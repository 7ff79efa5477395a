"""What every training has in common: a student is opened, trained from its last whole checkpoint, and exported."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selfinstruct.errors import ConfigError
from selfinstruct.train import TINY, Progress, silent
from selfinstruct.train.export import export, exported


def train(
    output: Path,
    identity: str,
    make: Callable[[Path], tuple[Any, Any]],
    *,
    base: str,
    tokenizer: Any,
    facts: Mapping[str, Any],
    tiny: bool = False,
    tables: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train what `make` makes and export it to `output`. Returns JSON facts: steps, losses, seconds, and `facts`.

    The same call continues from the last whole checkpoint, and returns the stored facts once `output` is whole.

    Args:
        output: the folder of the model; an older model there is replaced.
        identity: names the rows and the recipe: what has another is not continued.
        make: the trainer and its Watch, for the folder of the checkpoints.
        base: the folder or name that the student is loaded from.
        tokenizer: settled by `chat.settle`.
        facts: what is known of the rows.
        tiny: the student was made on the spot; it has few threads, since more only wait for each other.
        tables: more facts for the model's card, by heading.
        progress: called after each step; what it raises ends the training, to be continued.
    """
    stored = exported(output, identity)
    if stored is not None:
        return stored
    work = _workplace(output, identity)
    progress(0, 0, "loading the student")
    trainer, watch = make(work)
    from selfinstruct.train.trainer import TINY_THREADS, last_whole, threads

    last = last_whole(work)
    begun = time.monotonic()
    with threads(TINY_THREADS if tiny else None):
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    found = {
        **facts,
        "base": TINY if tiny else Path(base).name if Path(base).exists() else base,
        "steps": trainer.state.global_step,
        "epochs": round(float(trainer.state.epoch or 0), 2),
        **watch.facts(),
        "trained_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "training_seconds": round(time.monotonic() - begun, 1),
    }
    progress(trainer.state.global_step, trainer.state.global_step, "exporting the model")
    export(trainer.model, tokenizer, output, base=base, identity=identity, facts=found, tables=tables or {})
    shutil.rmtree(work.parent)
    return found


def tokenizer_of(model: str, base: str) -> Any:
    """The tokenizer of the student in `base`, settled. Raises ConfigError, naming `model`, when there is none."""
    from transformers import AutoTokenizer

    from selfinstruct.train.chat import settle

    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError) as error:
        raise unopened(model, error) from error
    settle(tokenizer)
    return tokenizer


def opened(kind: Any, base: str, **given: Any) -> Any:
    """A trainer of that kind for the student in `base`. Raises ConfigError when the student can't be opened."""
    from transformers import PrinterCallback

    try:
        trainer = kind(model=base, **given)
    except OSError as error:
        raise unopened(base, error) from error
    trainer.remove_callback(PrinterCallback)
    return trainer


def unopened(model: str, error: Exception) -> ConfigError:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return ConfigError(
        f"the model {model!r} can't be opened: {first}",
        "give a folder with a model and its tokenizer, a name on the Hugging Face Hub, or `tiny`",
    )


def _workplace(output: Path, identity: str) -> Path:
    """Where checkpoints go. Those of other rows or another recipe can't be continued and are removed."""
    work = output.with_name(f"{output.name}.work")
    if work.exists():
        for stale in work.iterdir():
            if stale.name != identity:
                shutil.rmtree(stale)
    (work / identity).mkdir(parents=True, exist_ok=True)
    return work / identity
