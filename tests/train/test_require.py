"""Without the training libraries there is one clear error; with them, importing the steps imports none of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from selfinstruct.errors import ConfigError
from selfinstruct.train import hush, require


@pytest.mark.parametrize("call", [require, hush])
def test_a_missing_library_is_named_with_what_installs_it(
    call: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "trl"):
        monkeypatch.setitem(sys.modules, name, None)  # what Python itself puts there to forbid an import
    assert callable(call)
    with pytest.raises(ConfigError, match="training needs torch, trl, which are not installed") as caught:
        call()
    assert caught.value.hint == 'pip install "selfinstruct[train]"'


def test_the_steps_are_known_without_importing_a_training_library() -> None:
    code = (
        "import sys; import selfinstruct.steps.student, selfinstruct.steps.evaluate, selfinstruct.train.data;"
        "print(sorted({'torch', 'transformers', 'trl', 'peft', 'datasets', 'accelerate'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
