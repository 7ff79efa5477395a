"""TRL's SFTTrainer with a lean head on the CPU, progress for the caller, and checkpoints that are whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from transformers import TrainerCallback
from trl import DPOTrainer, SFTTrainer

from selfinstruct.train import MARKER, Progress

# Models whose logits are scaled or capped after the head keep TRL's own, slower computation.
_AFTER_THE_HEAD = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
)


# Relative differences of likelihood that rounding makes, in fp32 and in bf16; leaks that were seen lie above.
LEAK, LEAK_BF16 = 1e-4, 1e-2
TINY_THREADS = 4  # more only wait for each other on matrices this small


class Trainer(SFTTrainer):  # type: ignore[misc]  # untyped library
    """On a CPU, three quarters of a small model's step go into TRL's fused head, which there scores prompts and padding
    too and recomputes in the backward pass. Here only labelled positions reach the head; the loss is the same."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if return_outputs or not self._lean:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        whole = model.get_base_model() if is_peft_model(model) else model
        labels = inputs["labels"][:, 1:]
        kept = labels != -100
        given = {key: value for key, value in inputs.items() if key != "labels"}
        hidden = whole.base_model(**given, use_cache=False).last_hidden_state[:, :-1]
        logits = whole.get_output_embeddings()(hidden[kept])
        loss = torch.nn.functional.cross_entropy(logits, labels[kept], reduction="sum")
        return loss / (kept.sum() if num_items_in_batch is None else num_items_in_batch)

    @property
    def _lean(self) -> bool:
        config = self.model.config.get_text_config()
        return (
            self.accelerator.device.type == "cpu"
            and self.accelerator.num_processes == 1
            and self.args.loss_type == "nll"
            and not self.args.label_smoothing_factor
            and not self.aux_loss_enabled
            and not any(getattr(config, name, None) for name in _AFTER_THE_HEAD)
        )


class PairTrainer(DPOTrainer):  # type: ignore[misc]  # untyped library
    """Takes rows of prompt_ids, chosen_ids and rejected_ids as they are: nothing is tokenised or cut again."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset


class Watch(TrainerCallback):  # type: ignore[misc]  # untyped library
    """Reports steps to `progress`, and marks a checkpoint once all of it is written."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._losses: dict[int, float] = {}

    def losses(self) -> dict[str, float]:
        """Mean training loss of the last logged steps, by step, at most ten of them evenly spread."""
        steps = sorted(self._losses)
        chosen = steps[:: max(1, len(steps) // 10)]
        return {str(step): round(self._losses[step], 4) for step in dict.fromkeys([*chosen, *steps[-1:]])}

    def facts(self) -> dict[str, Any]:
        """What a training's record says of its course."""
        return {"losses": self.losses()}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        last = next(reversed(self._losses.values()), None)
        self._progress(
            state.global_step, state.max_steps, "training" + (f", loss {last:.3f}" if last else "")
        )

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        # The whole history, so that a continued training tells of the steps before the interruption too.
        self._losses = {entry["step"]: entry["loss"] for entry in state.log_history if "loss" in entry}

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (folder / MARKER).write_text(json.dumps({"step": state.global_step}))


class PairWatch(Watch):
    """Keeps the course of the preferences, too."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress)
        self._logged: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        super().on_log(args, state, control, logs, **kwargs)
        self._logged = [entry for entry in state.log_history if "rewards/accuracies" in entry]

    def facts(self) -> dict[str, Any]:
        ends = self._logged[:1] + self._logged[-1:]
        return {
            **super().facts(),
            "accuracy": [round(entry["rewards/accuracies"], 4) for entry in ends],
            "margin": [round(entry["rewards/margins"], 4) for entry in ends],
        }


@contextmanager
def threads(most: int | None) -> Iterator[None]:
    """At most so many threads for torch's operations; None leaves them alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if most is None else min(most, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def last_whole(folder: Path) -> Path | None:
    """The latest checkpoint in `folder` that was written to its end."""
    whole = [path for path in folder.glob("checkpoint-*") if (path / MARKER).exists()]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def packing_leak(model: Any, rows: list[list[int]]) -> float:
    """How far packed rows see each other: the relative difference of their log-likelihood, packed and one by one.

    Zero but for rounding where the model restarts attention at each row's position 0; some architectures do not
    (opt, bloom, falcon, mamba, gpt_oss) and mix neighbours in silence.
    """
    device = next(model.parameters()).device

    def score(ids: list[list[int]]) -> float:
        flat = torch.tensor([[i for row in ids for i in row]], device=device)
        places = torch.tensor([[i for row in ids for i in range(len(row))]], device=device)
        logits = model(input_ids=flat, position_ids=places, use_cache=False).logits[0, :-1].float()
        gained = logits.log_softmax(-1).gather(-1, flat[0, 1:, None])[:, 0]
        return float(gained[places[0, 1:] > 0].sum())

    was = model.training
    model.eval()
    with torch.no_grad():
        together, apart = score(rows), sum(score([row]) for row in rows)
    model.train(was)
    return abs(together - apart) / max(abs(apart), 1e-9)
