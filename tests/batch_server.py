"""The batch APIs of a model server on this machine: OpenAI's and Anthropic's, over real HTTP, beside the loopback.

A batch is worked on when it is handed in, and shown as ended after so many looks. What becomes of its rows, and of the
requests about it, follows a list of shapes; every batch and every completion that was made is counted.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

Reply = tuple[int, bytes]
SHAPES = (
    "plain",
    "errors_apart",  # OpenAI: failed rows lie in the error file, with status code 0
    "no_output_file",  # OpenAI: completed, and all rows are in the error file
    "empty_ids",  # OpenAI: the id of the error file is an empty text
    "expired",  # half of the rows were made, and are paid for
    "cancelled",
    "failed",  # the whole batch is refused after it was taken
    "missing",  # some rows are in no file
    "twice",  # some rows stand there twice
    "strangers",  # rows that nobody asked for
    "bad_lines",  # lines that are no JSON
    "refused_rows",  # a row's body is the error of a request that is refused for good
    "disorder",
    "broken_rows",  # answers that are empty, or hold no choice
)


class Batches:
    """`shape` is what becomes of the next batches' rows, `looks` how often one is looked at before it has ended.
    `lose` names what the server does and does not answer: upload, create; `submitted` counts batches that were made,
    `paid` the completions by custom id.
    """

    def __init__(self, shape: str = "plain", *, looks: int = 1) -> None:
        assert shape in SHAPES
        self.shape = shape
        self.looks = looks
        self.lose: list[str] = []
        self.paid: list[str] = []
        self.made: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    @property
    def submitted(self) -> list[frozenset[str]]:
        return [batch["ids"] for batch in self.made]

    async def handle(self, teacher: Any, shape_of: Any, path: str, body: bytes) -> Reply | None:
        """The reply to a request about batches; None for one that is answered with nothing. `teacher` answers rows."""
        path = path.partition("?")[0]
        self.asked.append(path)
        if path == "/files":
            return self._uploaded(body)
        if path == "/batches" and body:
            return await self._created(teacher, shape_of, orjson.loads(body))
        if path == "/messages/batches" and body:
            return await self._created(teacher, shape_of, orjson.loads(body), anthropic=True)
        if path in ("/batches", "/messages/batches"):
            show = self._show_anthropic if path.startswith("/messages") else self._show_openai
            return 200, orjson.dumps(
                {"data": [show(batch) for batch in reversed(self.made)], "has_more": False}
            )
        if match := re.fullmatch(r"/files/([\w-]+)/content", path):
            return 200, self.files[match[1]]
        if match := re.fullmatch(r"/messages/batches/([\w-]+)/results", path):
            return 200, self.files[f"{match[1]}-out"]
        if match := re.fullmatch(r"(/messages)?/batches/([\w-]+)", path):
            batch = next(each for each in self.made if each["id"] == match[2])
            batch["looks"] += 1
            return 200, orjson.dumps(self._show_anthropic(batch) if match[1] else self._show_openai(batch))
        return 404, b"{}"

    def _uploaded(self, body: bytes) -> Reply | None:
        name = f"file-{len(self.files)}"
        part = body.split(b'name="file"', 1)[1]
        self.files[name] = part.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
        if "upload" in self.lose:
            self.lose.remove("upload")
            return None
        return 200, orjson.dumps({"id": name})

    async def _created(
        self, teacher: Any, shape_of: Any, order: dict[str, Any], *, anthropic: bool = False
    ) -> Reply | None:
        if anthropic:
            lines = [{"custom_id": each["custom_id"], "body": each["params"]} for each in order["requests"]]
        else:
            lines = [orjson.loads(line) for line in self.files[order["input_file_id"]].splitlines()]
        name = f"{'msgbatch' if anthropic else 'batch'}_{len(self.made)}"
        batch = {
            "id": name,
            "looks": 0,
            "ids": frozenset(line["custom_id"] for line in lines),
            "at": time.time(),
        }
        batch |= {"metadata": order.get("metadata"), "shape": self.shape, "total": len(lines)}
        self.made.append(batch)
        await self._worked(batch, lines, teacher, shape_of, anthropic=anthropic)
        if "create" in self.lose:
            self.lose.remove("create")
            return None
        return 200, orjson.dumps(self._show_anthropic(batch) if anthropic else self._show_openai(batch))

    async def _worked(
        self,
        batch: dict[str, Any],
        lines: Sequence[dict[str, Any]],
        teacher: Any,
        shape_of: Any,
        *,
        anthropic: bool,
    ) -> None:
        good, bad, shape = [], [], self.shape
        endpoint = "/messages" if anthropic else "/chat/completions"
        for number, line in enumerate(lines):
            key, odd = line["custom_id"], number % 2 == 1
            if shape == "failed" or (shape == "missing" and odd):
                continue
            if (
                shape in ("expired", "cancelled", "errors_apart", "empty_ids") and odd
            ) or shape == "no_output_file":
                bad.append(_bad(key, "expired" if shape == "expired" else shape, anthropic=anthropic))
                continue
            if shape == "refused_rows" and odd:
                error = {"message": "maximum context length exceeded", "type": "invalid_request_error"}
                row = {"custom_id": key, "response": {"status_code": 400, "body": {"error": error}}}
                bad.append(
                    {"custom_id": key, "result": {"type": "errored", "error": {"error": error}}}
                    if anthropic
                    else row
                )
                continue
            value = shape_of(endpoint, await teacher(endpoint, line["body"]), str(line["body"]["model"]))
            self.paid.append(key)
            if shape == "broken_rows" and odd and self.paid.count(key) == 1:
                value["content" if anthropic else "choices"] = []
            good.append(_good(key, value, anthropic=anthropic))
        if shape == "twice":
            good += good[::2]
        if shape == "strangers":
            good.insert(0, _good("f" * 32, {"choices": []}, anthropic=anthropic))
        if shape == "disorder":
            good.reverse()
        text = b"".join(orjson.dumps(row) + b"\n" for row in (good + bad if anthropic else good))
        if shape == "bad_lines":
            text = b'{"custom_id": "half\n\n' + text + b"<html>\n[1]\n"
        self.files[f"{batch['id']}-out"] = text
        self.files[f"{batch['id']}-err"] = b"".join(orjson.dumps(row) + b"\n" for row in bad)
        batch |= {"good": len(good), "bad": len(bad)}

    def _show_openai(self, batch: dict[str, Any]) -> dict[str, Any]:
        ended = batch["looks"] > self.looks
        status = {"expired": "expired", "cancelled": "cancelled", "failed": "failed"}.get(
            batch["shape"], "completed"
        )
        shown: dict[str, Any] = {
            "id": batch["id"],
            "status": status if ended else "in_progress",
            "created_at": int(batch["at"]),
            "metadata": batch["metadata"],
            "request_counts": {
                "total": batch["total"],
                "completed": batch["good"] if ended else 0,
                "failed": 0,
            },
        }
        if ended and batch["shape"] == "failed":
            shown["errors"] = {
                "data": [{"code": "token_limit_exceeded", "message": "enqueued token limit reached"}]
            }
        elif ended:
            empty = batch["shape"] == "no_output_file"
            shown["output_file_id"] = None if empty else f"{batch['id']}-out"
            shown["error_file_id"] = f"{batch['id']}-err" if batch["bad"] else None
            if batch["shape"] == "empty_ids":
                shown["error_file_id"] = ""
        return shown

    def _show_anthropic(self, batch: dict[str, Any]) -> dict[str, Any]:
        ended = batch["looks"] > self.looks
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        counts["succeeded" if ended else "processing"] = batch["total"]
        return {
            "id": batch["id"],
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": datetime.fromtimestamp(batch["at"], UTC).isoformat(),
        }


def _good(key: str, value: dict[str, Any], *, anthropic: bool) -> dict[str, Any]:
    if anthropic:
        return {"custom_id": key, "result": {"type": "succeeded", "message": value}}
    return {"custom_id": key, "response": {"status_code": 200, "body": value}, "error": None}


def _bad(key: str, shape: str, *, anthropic: bool) -> dict[str, Any]:
    if anthropic:
        if shape == "errors_apart":
            error = {"type": "error", "error": {"type": "api_error", "message": "something broke"}}
            return {"custom_id": key, "result": {"type": "errored", "error": error}}
        return {"custom_id": key, "result": {"type": "canceled" if shape == "cancelled" else "expired"}}
    if shape in ("errors_apart", "empty_ids", "no_output_file"):
        return {"custom_id": key, "response": {"status_code": 0, "body": None}, "error": None}
    code = "batch_cancelled" if shape == "cancelled" else "batch_expired"
    return {"custom_id": key, "response": None, "error": {"code": code, "message": json.dumps(shape)}}
