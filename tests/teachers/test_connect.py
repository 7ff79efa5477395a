from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.errors import ConfigError
from selfinstruct.teachers import Teacher
from selfinstruct.teachers.anthropic import AnthropicTeacher
from selfinstruct.teachers.connect import check, connect
from selfinstruct.teachers.endpoint import Endpoint, endpoint_name, own_network
from selfinstruct.teachers.openai import OpenAITeacher
from selfinstruct.teachers.transport import Direct, Official

LOCAL = "http://localhost:8000/v1"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def refused(spec: str | dict[str, Any], role: str = "teacher") -> str:
    with pytest.raises(ConfigError) as caught:
        connect(spec, role=role)
    return f"{caught.value.message} | {caught.value.hint}"


def way(teacher: Teacher) -> type:
    return type(vars(teacher)["transport"])


def test_the_providers_own_addresses_go_through_their_sdks() -> None:
    openai, anthropic = connect("openai/gpt-5-mini"), connect({"model": "anthropic/claude-haiku-4-5"})
    assert isinstance(openai, OpenAITeacher)
    assert isinstance(anthropic, AnthropicTeacher)
    assert (openai.model, openai.structured, openai.raw) == ("openai/gpt-5-mini", True, False)
    assert (anthropic.model, anthropic.structured, anthropic.raw) == (
        "anthropic/claude-haiku-4-5",
        True,
        False,
    )
    assert way(openai) is way(anthropic) is Official


def test_a_server_of_ones_own_goes_the_plain_way() -> None:
    teacher = connect({"model": "openai/Qwen/Qwen3-8B", "base_url": LOCAL + "/", "structured": True})
    assert isinstance(teacher, OpenAITeacher)
    assert (teacher.model, teacher.structured, teacher.raw) == (
        "openai/Qwen/Qwen3-8B@localhost:8000",
        True,
        True,
    )
    assert teacher.name == "Qwen/Qwen3-8B"
    assert way(teacher) is Direct
    check(teacher)  # no key is needed


def test_a_lasting_name_keeps_what_was_paid_when_the_port_moves() -> None:
    models = {
        connect({"model": "openai/x", "base_url": f"http://localhost:{port}/v1", "endpoint": "my-box"}).model
        for port in (8000, 9000)
    }
    assert models == {"openai/x@my-box"}
    assert connect({"model": "openai/x", "base_url": LOCAL}).model != connect("openai/x").model


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://LOCALHOST:8000/v1/", "localhost:8000"),
        ("https://openrouter.ai/api/v1", "openrouter.ai/api"),
        ("http://[::1]:80", "[::1]:80"),
    ],
)
def test_the_name_of_an_endpoint(url: str, name: str) -> None:
    assert endpoint_name(url) == name


def test_the_ambient_base_url_is_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example/v1")
    teacher = connect("openai/gpt-5-mini")
    assert isinstance(teacher, OpenAITeacher)
    assert teacher.model == "openai/gpt-5-mini@gateway.example"
    assert teacher.at.key_env == "OPENAI_API_KEY"
    assert connect("anthropic/x").model == "anthropic/x"
    assert connect({"model": "openai/x", "base_url": LOCAL}).model == "openai/x@localhost:8000"


def test_a_written_base_url_gets_only_the_key_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    monkeypatch.setenv("OTHER_KEY", "sk-of-other")
    bare = connect({"model": "openai/x", "base_url": "https://other.example/v1"})
    named = connect({"model": "openai/x", "base_url": "https://other.example/v1", "key_env": "OTHER_KEY"})
    assert isinstance(bare, OpenAITeacher)
    assert isinstance(named, OpenAITeacher)
    assert bare.at.key == ""
    assert named.at.key == "sk-of-other"


def test_a_missing_key_is_found_before_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    for spec, name in (
        ("openai/gpt-5-mini", "OPENAI_API_KEY"),
        ("anthropic/claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ({"model": "openai/x", "base_url": LOCAL, "key_env": "MY_KEY"}, "MY_KEY"),
    ):
        teacher = connect(spec)
        with pytest.raises(ConfigError, match=f"{name} is not set") as caught:
            check(teacher)
        assert f"export {name}=" in caught.value.hint
        monkeypatch.setenv(name, "sk-x")
        check(teacher)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError) as caught:
        check(connect("openai/x"))
    assert "point base_url at a local server" in caught.value.hint


@pytest.mark.parametrize("key", ["sk-a b", "sk-a\nb", "“sk-a”"])
def test_a_key_that_no_header_can_carry(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigError, match="no key has") as caught:
        check(connect("openai/x"))
    assert key not in str(caught.value)


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs the package openai") as caught:
        check(connect("openai/x"))
    assert caught.value.hint == 'pip install "selfinstruct[openai]"'
    check(connect({"model": "openai/x", "base_url": LOCAL}))  # the plain way needs no SDK


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:8000/v1", "not a web address"),
        ("ftp://box/v1", "not a web address"),
        ("http:///v1", "not a web address"),
        ("http://box:port/v1", "no valid port"),
        ("http://me:secret@box/v1", "more than host and path"),
        ("https://other.example/v1?key=secret", "more than host and path"),
        ("http://other.example/v1", "write https://other.example"),
        ("http://8.8.8.8/v1", "unencrypted"),
    ],
)
def test_addresses_that_will_not_do(url: str, words: str) -> None:
    said = refused({"model": "openai/x", "base_url": url})
    assert words in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("192.168.1.5", True),
        ("vllm", True),
        ("host.docker.internal", True),
        ("box.local", True),
        ("8.8.8.8", False),
        ("api.openai.com", False),
        ("notlocal", True),
        ("evil-localhost.com", False),
        ("2606:4700::1111", False),
    ],
)
def test_where_http_is_allowed(host: str, own: bool) -> None:
    assert own_network(host) is own


def test_unknown_words_are_answered_with_the_nearest_right_ones() -> None:
    assert "unknown option `base_ur` | did you mean `base_url`?" in refused(
        {"model": "openai/x", "base_ur": LOCAL}
    )
    assert "unknown option `raw`" in refused({"model": "anthropic/x", "raw": True})
    assert "did you mean `openai`?" in refused("opanai/gpt-5")
    assert "judge: no provider serves 'gpt-5'" in refused("gpt-5", "judge")
    assert all(
        word in refused("nothing")
        for word in ("openai/NAME", "anthropic/NAME", "offline", "my_module:MyTeacher")
    )


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "no model is named"),
        ({"model": 5}, "no model is named"),
        ("", "no model is named"),
        ("openai/", "names no model"),
        ({"model": "openai/x", "endpoint": "box"}, "add its base_url"),
        ({"model": "openai/x", "base_url": 8000}, "base_url must be text"),
        ({"model": "openai/x", "base_url": ""}, "base_url must be text"),
        ({"model": "openai/x", "base_url": LOCAL, "structured": "yes"}, "structured must be true or false"),
        ({"model": "openai/x", "key_env": "sk-secret"}, "key_env is not the name"),
        ({"model": "openai/x", "transport": 1}, "unknown option `transport`"),
    ],
)
def test_specs_that_will_not_do(spec: str | dict[str, Any], words: str) -> None:
    said = refused(spec)
    assert words in said
    assert "sk-secret" not in said


def test_the_offline_teacher_takes_its_own_options() -> None:
    teacher = connect({"model": "offline", "wrong": 0.0})
    assert teacher.model.startswith("offline")
    assert "unknown option `wrnog` | did you mean `wrong`?" in refused({"model": "offline", "wrnog": 0.1})
    check(teacher)


MINE = """
from selfinstruct.teachers import Completion

class MyTeacher:
    structured = False
    raw = False

    def __init__(self, word: str = "yes") -> None:
        self.model = f"mine/{word}"
        if not word:
            raise ValueError("a word is needed")

    async def complete(self, request):
        return Completion("yes")

    async def close(self):
        pass

class Half:
    model = "half"
"""


def test_a_class_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_teachers_here.py").write_text(MINE)
    (tmp_path / "my_broken_teachers.py").write_text("import no_such_package_at_all\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert connect("my_teachers_here:MyTeacher").model == "mine/yes"
    assert connect({"model": "my_teachers_here:MyTeacher", "word": "no"}).model == "mine/no"
    assert "did you mean `word`?" in refused({"model": "my_teachers_here:MyTeacher", "wrd": "no"})
    assert "a word is needed" in refused({"model": "my_teachers_here:MyTeacher", "word": ""})
    assert "did you mean `MyTeacher`?" in refused("my_teachers_here:MyTeachr")
    assert "lacks structured, raw, complete, close" in refused("my_teachers_here:Half")
    assert "there is no module 'my_teachers_her'" in refused("my_teachers_her:MyTeacher")
    assert "No module named 'no_such_package_at_all'" in refused("my_broken_teachers:MyTeacher")


def test_an_endpoint_says_nothing_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "very-secret")
    at = Endpoint("openai/x@box", "https://box.example/v1", "MY_KEY", own=True)
    assert at.key == "very-secret"
    assert "very-secret" not in repr(at)
    assert at.quote("you sent very-secret") == "you sent [key]"


def test_naming_a_teacher_costs_no_import() -> None:
    script = (
        "import sys; from selfinstruct.teachers.connect import connect; connect('offline');"
        "print([name for name in ('aiohttp', 'openai', 'anthropic', 'httpx2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
