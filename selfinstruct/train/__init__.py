"""Fine-tuning and measuring students with transformers, TRL and PEFT. torch is imported only here, where used."""

from __future__ import annotations

import importlib.util
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence

from selfinstruct.errors import ConfigError

Progress = Callable[[int, int, str], None]  # done, total, what it is doing
Chat = Sequence[Mapping[str, str]]  # messages: mappings with exactly `role` and `content`

TINY = "tiny"  # the name of the student that is made on the spot
MARKER = "COMPLETE"  # the file written last into a student, a checkpoint and an exported model
# What the libraries warn each other about; it says nothing to our users. Beginnings of messages.
_AMONG_THEMSELVES = ("`is_gradient_checkpointing` is deprecated",)
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")


def require() -> None:
    """Check that the training libraries are installed, and set what they read from the environment once, at import.

    Nothing is imported: the check costs milliseconds, so that it can stand before the first paid call.

    Raises:
        ConfigError: a library of the `train` extra is missing.
    """
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"training needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            'pip install "selfinstruct[train]"',
        )
    # libgomp's idle threads spin by default: on a machine with other work they take the time of those that have some.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def hush() -> None:
    """Import the libraries and turn their logs and progress bars off: what is shown is the caller's affair."""
    require()
    import datasets
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    for message in _AMONG_THEMSELVES:
        warnings.filterwarnings("ignore", re.escape(message), FutureWarning)


def silent(done: int, total: int, text: str) -> None:
    """The progress of those who don't watch."""
