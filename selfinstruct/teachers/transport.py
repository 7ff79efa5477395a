"""How a request travels: `Direct`, a plain aiohttp post, and `Official`, the provider's own SDK on its
aiohttp backend.

Direct costs about a tenth of the CPU time of an SDK and serves every address of one's own, where requests per
second matter. Official serves the providers' own addresses, whose headers and authentication are the SDK's
business. Neither retries, follows redirects, nor sets a deadline: `run.generate` does, once, over the whole
attempt.
"""

from __future__ import annotations

import importlib
import ssl
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import aiohttp

from selfinstruct.errors import TeacherError, TransientError
from selfinstruct.teachers.endpoint import Endpoint
from selfinstruct.teachers.reply import Reply

LARGEST_REPLY = 32 * 1024 * 1024  # bytes, after decompression
_IDLE = 60.0  # seconds an unused connection is kept
_NEVER_SENT = (
    "ConnectError",
    "ConnectTimeout",
    "PoolTimeout",
    "UnsupportedProtocol",
)  # of the SDKs' HTTP layer
_JSON = {"content-type": "application/json"}


class Transport(Protocol):
    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply: ...

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, largest: int | None = None
    ) -> Reply:
        """Raises TeacherError when what comes back is larger than `largest` bytes (LARGEST_REPLY by default)."""
        ...

    async def upload(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> Reply:
        """Post a form with a file of that name; `fields` and `name` hold no quotes or line ends."""
        ...

    async def close(self) -> None: ...


class Direct:
    """One aiohttp session, opened at the first post. The number of connections is not limited here: how many
    requests are in flight is decided elsewhere."""

    def __init__(self, at: Endpoint, authorize: Callable[[str], Mapping[str, str]]) -> None:
        self.at = at
        self._authorize = authorize
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        return await self._ask("POST", path, body, headers, LARGEST_REPLY)

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, largest: int | None = None
    ) -> Reply:
        return await self._ask("GET", path, None, headers or {}, largest or LARGEST_REPLY)

    async def upload(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> Reply:
        edge = f"edge-{uuid.uuid4().hex}"
        head = "".join(
            f'--{edge}\r\ncontent-disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
            for field, value in fields.items()
        )
        head += (
            f'--{edge}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n'
            "content-type: application/jsonl\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
        return await self.post(path, body, {"content-type": f"multipart/form-data; boundary={edge}"})

    async def _ask(
        self, verb: str, path: str, body: bytes | None, headers: Mapping[str, str], largest: int
    ) -> Reply:
        if self._session is None:
            self._session = self._open()
        url = self.at.url.rstrip("/") + path
        try:
            async with self._session.request(
                verb, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return _reply(self.at, response.status, response.headers, await self._read(response, largest))
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise TeacherError(
                f"{self.at.identity}: no trusted connection to {self.at.shown}: {self.at.quote(str(error))}",
                "the server's certificate must be valid; plain http is for this machine and private networks",
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise TransientError(
                f"{self.at.identity}: nothing answers at {self.at.shown} ({_reason(error.os_error)})",
                "start the server, or correct base_url",
            ) from None
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise _broken(self.at, error) from None

    async def _read(self, response: aiohttp.ClientResponse, largest: int) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > largest:
                raise TeacherError(
                    f"{self.at.identity}: one answer of over {largest >> 20} MiB from {self.at.shown}",
                    "no completion is that long; is it an address of another kind of server?",
                )
        return b"".join(chunks)

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={**_JSON, **self._authorize(self.at.key)},
            trust_env=not self.at.private,  # proxies are for the world outside
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


class Official:
    """`package` is `openai` or `anthropic`, `client` its asynchronous client class. The SDK is imported at
    the first post; of what it returns, only status, headers and bytes are used.
    """

    def __init__(self, at: Endpoint, package: str, client: str) -> None:
        self.at = at
        self._package = package
        self._class = client
        self._client: Any = None
        self._sdk: Any = None
        self._response: Any = None

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        return await self._ask("post", path, {**_JSON, **headers}, content=body)

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, largest: int | None = None
    ) -> Reply:
        reply = await self._ask("get", path, headers or {})
        if len(reply.body) > (largest or LARGEST_REPLY):
            raise TeacherError(
                f"{self.at.identity}: one answer of over {(largest or LARGEST_REPLY) >> 20} MiB"
            )
        return reply

    async def upload(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> Reply:
        form = {"body": dict(fields), "files": {"file": (name, content, "application/jsonl")}}
        return await self._ask("post", path, {"content-type": "multipart/form-data"}, **form)

    async def _ask(self, verb: str, path: str, headers: Mapping[str, str], **content: Any) -> Reply:
        if self._client is None:
            self._open()
        try:
            response = await getattr(self._client, verb)(
                path, cast_to=self._response, options={"headers": dict(headers)}, **content
            )
        except self._sdk.APIStatusError as error:
            response = error.response
        except self._sdk.APIConnectionError as error:
            raise _broken(self.at, error.__cause__ or error) from None
        except (aiohttp.ClientError, OSError) as error:  # what the SDK's backend doesn't translate
            raise _broken(self.at, error) from None
        return _reply(self.at, response.status_code, response.headers, response.content)

    def _open(self) -> None:
        self._sdk = importlib.import_module(self._package)
        http = importlib.import_module("httpx2")  # the HTTP layer of both SDKs
        self._response = http.Response
        self._client = getattr(self._sdk, self._class)(
            api_key=self.at.key,
            base_url=self.at.url,  # so that no variable in the environment moves the address behind our back
            max_retries=0,
            timeout=None,
            http_client=self._sdk.DefaultAioHttpClient(
                timeout=None,
                follow_redirects=False,
                limits=http.Limits(
                    max_connections=0, keepalive_expiry=_IDLE
                ),  # 0: no limit, in aiohttp's terms
            ),
        )

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()


def _reply(at: Endpoint, status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """What came back, without our key: some servers repeat it, and nothing behind here may print, log or file it."""
    key = at.key.encode()
    return Reply(status, headers, body.replace(key, b"[key]") if key and key in body else body)


def _broken(at: Endpoint, error: BaseException) -> TransientError:
    sent = not isinstance(error, ConnectionRefusedError) and type(error).__name__ not in _NEVER_SENT
    return TransientError(
        f"{at.identity}: the connection to {at.shown} broke: {at.quote(_reason(error))}", in_doubt=sent
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "timed out"
    return str(error) or type(error).__name__
