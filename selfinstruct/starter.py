"""What `selfinstruct init` writes: a commented pipeline and a copy of the seed tasks."""

from __future__ import annotations

import shutil
from pathlib import Path

from selfinstruct.errors import ConfigError

PIPELINE = """\
# A pipeline is a list of steps. Run it:        selfinstruct run pipeline.yaml
# See what it would do and cost, without a call: selfinstruct plan pipeline.yaml
# Every step and option:                         selfinstruct steps [NAME]

name: first

# The model that writes the tasks. `offline` needs no key: it computes verifiable tasks and is no language model.
# A real one is a change of this line:
#   teacher: openai/gpt-5-mini                    (key in OPENAI_API_KEY)
#   teacher: anthropic/claude-haiku-4-5           (key in ANTHROPIC_API_KEY)
#   teacher: {model: openai/my-model, base_url: "http://localhost:8000/v1", concurrency: 64}
teacher: offline

# judge: openai/gpt-5-mini      # another model for judging; without this line the teacher judges
# budget: 5                     # dollars; reaching them pauses the run, the same command goes on

steps:
  # Your own tasks go into this file: one JSON object a line.
  - read: {path: seed_tasks.jsonl, license: apache-2.0}

  # Write new tasks from three seed tasks at a time; keep what is new (ROUGE-L <= 0.7 to all others).
  - alpaca: {n: 500}

  # Drop what no one wants to train on.
  - refusal
  - placeholder

  # Score the answers from 0 to 5, and keep the good ones.
  - judge
  - select: {at_least: 4}

  # alpaca.json, messages.jsonl, train.parquet and a dataset card, in data/first/dataset.
  - write
"""


def seeds() -> Path:
    """The seed tasks that come with the package (in a checkout: those at its root)."""
    here = Path(__file__).parent
    for folder in (here / "seeds", here.parent / "seeds"):
        if (folder / "seed_tasks.jsonl").is_file():
            return folder / "seed_tasks.jsonl"
    raise ConfigError("the seed tasks that belong to the package are missing", "reinstall selfinstruct")


def write(folder: Path, *, force: bool) -> list[Path]:
    """Write both files. Raises ConfigError when one exists and `force` is not set, or the folder can't be written."""
    source = seeds()
    targets = [folder / "pipeline.yaml", folder / "seed_tasks.jsonl"]
    for path in targets:
        if path.exists() and not force:
            raise ConfigError(f"{path} exists", "give another folder, or replace it with --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        targets[0].write_text(PIPELINE, "utf-8")
        shutil.copyfile(source, targets[1])
    except OSError as error:
        raise ConfigError(f"{folder}: can't be written ({error.strerror})", "give another folder") from None
    return targets
