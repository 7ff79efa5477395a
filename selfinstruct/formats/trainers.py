"""What trainers need beside a data file to find its columns: LLaMA-Factory's dataset_info.json, Axolotl's `datasets`.

Both are checked against the readers of those projects (LLaMA-Factory `data/converter.py`, `data/parser.py`; Axolotl
`prompt_strategies/chat_template.py`, `prompt_strategies/dpo/chat_template.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from selfinstruct.sample import Sample

_OPENAI = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
_CHAT = {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": _OPENAI}
_TALK = {"messages": "conversations"}
LLAMAFACTORY: dict[str, dict[str, Any]] = {
    "alpaca": {"columns": {"prompt": "instruction", "query": "input", "response": "output"}},
    "messages": _CHAT,
    "sharegpt": {"formatting": "sharegpt", "columns": _TALK},
    "sharegpt_preference": {
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {**_TALK, "chosen": "chosen", "rejected": "rejected"},
    },
    "sharegpt_kto": {"formatting": "sharegpt", "columns": {**_TALK, "kto_tag": "label"}},
    "parquet": _CHAT,
}

_FROM = {
    "field_messages": "conversations",
    "message_property_mappings": {"role": "from", "content": "value"},
    "roles": {"user": ["human"], "assistant": ["gpt"], "system": ["system"]},
}
_PAIR = {"field_chosen": "chosen", "field_rejected": "rejected"}
AXOLOTL: dict[str, dict[str, Any]] = {
    "alpaca": {"type": "alpaca"},
    "messages": {"type": "chat_template", "field_messages": "messages"},
    "sharegpt": {"type": "chat_template", **_FROM},
    "preference": {"type": "chat_template.default", "field_messages": "prompt", **_PAIR},
    "sharegpt_preference": {"type": "chat_template.default", **_FROM, **_PAIR},
    "parquet": {"type": "chat_template", "field_messages": "messages"},
}


def llamafactory(name: str, files: Mapping[str, str], samples: Sequence[Sample]) -> dict[str, bytes]:
    """dataset_info.json with an entry for each file that LLaMA-Factory reads.

    Args:
      name: What the entries' names begin with.
      files: The format of each data file, and its name.
      samples: The rows.
    """
    stem = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "dataset"
    entries = {}
    for each in (each for each in files if each in LLAMAFACTORY):
        entry = {"file_name": files[each], **LLAMAFACTORY[each]}
        if each == "sharegpt" and any(isinstance(one.meta.get("tools"), str) for one in samples):
            entry["columns"] = {**entry["columns"], "tools": "tools"}
        entries[f"{stem}_{each}"] = entry
    return {"dataset_info.json": (json.dumps(entries, indent=2, ensure_ascii=False) + "\n").encode("utf-8")}


def axolotl(name: str, files: Mapping[str, str], samples: Sequence[Sample]) -> dict[str, bytes]:
    """A snippet for each file that Axolotl reads: lines to put into its config."""
    snippets = {}
    for each in (each for each in files if each in AXOLOTL):
        kind = "parquet" if each == "parquet" else "json"
        lines: dict[str, Any] = {"rl": "dpo"} if each.endswith("preference") else {}
        lines["datasets"] = [{"path": files[each], "ds_type": kind, "split": "train", **AXOLOTL[each]}]
        head = "# Lines for an Axolotl config. Put before the path how this folder is seen from where axolotl runs.\n"
        text = head + yaml.safe_dump(lines, sort_keys=False, allow_unicode=True)
        snippets[f"axolotl_{each}.yaml"] = text.encode("utf-8")
    return snippets
