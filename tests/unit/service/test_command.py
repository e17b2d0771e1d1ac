"""``dsq sbatch serve``: what its options and its file make of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dsq.console.cli import cli
from dsq.sbatch.service.settings import ServiceSettings

METASCHEDULER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command; gives the settings that it would serve with, or its error."""
    served: list[ServiceSettings] = []

    async def serve(settings: ServiceSettings, _stop: Any) -> None:
        served.append(settings)

    monkeypatch.setattr("dsq.sbatch.service.serve.serve", serve)
    for name in ("CONFIG", "STATE", "CACHE"):
        monkeypatch.setenv(f"DSQ_{name}_DIR", str(tmp_path / name.lower()))

    def invoke(*words: str) -> ServiceSettings:
        served.clear()
        result = CliRunner().invoke(cli, ["sbatch", "serve", *words], catch_exceptions=True)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert served, result.output
        return served[0]

    return invoke


def test_everything_in_the_file(run: Any, tmp_path: Path) -> None:
    """No grid needs to be known; the data lies in the state folder unless said."""
    file = tmp_path / "sbatch.toml"
    file.write_text(
        f'rpc_url = "http://127.0.0.1:1"\nmetascheduler = "{METASCHEDULER}"\nchain_id = 5\n'
        "requests_per_minute = 100\nhttp_port = 4000\n"
    )
    settings = run("--settings", str(file))
    assert settings.requests_per_minute == 100
    assert settings.http_port == 4000
    assert settings.data_dir == tmp_path / "state" / "sbatch"
    assert settings.redis_url is None


def test_options_win(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the file; the password of Redis comes by the environment."""
    file = tmp_path / "sbatch.toml"
    file.write_text("http_port = 4000\nallow_unsigned_logs = true\n")
    monkeypatch.setenv("DSQ_SBATCH_REDIS_URL", "redis://:hidden@host/0")
    new, old = tmp_path / "new.key", tmp_path / "old.key"
    settings = run(
        "--settings", str(file), "--http", "127.0.0.1:0", "--data-dir", str(tmp_path / "d"),
        "--data-key", str(new), "--data-key", str(old),
    )  # fmt: skip
    assert (settings.http_port, settings.grpc_port) == (0, 3001)
    assert settings.data_dir == tmp_path / "d"
    assert settings.key_files == (new, old)
    assert settings.allow_unsigned_logs
    assert settings.redis_url.get_secret_value() == "redis://:hidden@host/0"
    assert "hidden" not in repr(settings)
