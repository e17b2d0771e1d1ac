"""``[cluster]``: where jobs run, and which of its fields go together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from dsq.supervisor.scheduler.users import check_template
from dsq.supervisor.settings.base import Count, Port, Positive, Strict

Kind = Literal["local", "slurm", "ssh"]

_KIND_FIELDS = {
    **dict.fromkeys(
        (
            *("host", "user", "port", "identity_file", "identity_passphrase_file"),
            *("known_hosts", "host_key", "use_ssh_config", "ssh_config"),
        ),
        ("ssh",),
    ),
    **dict.fromkeys(("root", "cpus", "mem_mb", "gpus", "gpu_type"), ("local",)),
    **dict.fromkeys(("partition", "bin_dir", "slurm_account"), ("slurm", "ssh")),
    "slurm_conf": ("slurm",),
    **dict.fromkeys(("user_template", "users_file"), ("ssh", "slurm")),
    "job_user": ("local", "slurm"),
}
"""Fields of ``[cluster]`` that make sense for some kinds only."""


class ClusterSettings(Strict):
    """``[cluster]``: where jobs run, and under which account and limits."""

    kind: Kind
    host: str = ""
    user: str = ""
    port: Port | None = None
    use_ssh_config: bool = False
    ssh_config: Path | None = Field(default=None, strict=False)
    identity_file: Path | None = Field(default=None, strict=False)
    identity_passphrase_file: Path | None = Field(default=None, strict=False)
    known_hosts: Path | None = Field(default=None, strict=False)
    host_key: str = ""
    user_template: str = ""
    users_file: Path | None = Field(default=None, strict=False)
    partition: str = ""
    workdir: str = ""
    job_path: str = ""
    job_user: str = ""
    cache_root: str = ""
    scratch_root: str = ""
    max_minutes: Positive | None = None
    claim_ahead: Count = 2
    slurm_conf: Path | None = Field(default=None, strict=False)
    bin_dir: str = ""
    slurm_account: str = ""
    root: Path | None = Field(default=None, strict=False)
    cpus: Positive | None = None
    mem_mb: Positive | None = None
    gpus: Count | None = None
    gpu_type: str = ""

    @model_validator(mode="after")
    def _fields_of_the_kind(self) -> ClusterSettings:
        if self.kind == "ssh" and not self.host:
            raise ValueError("kind 'ssh' needs 'host'")
        for name in set(_KIND_FIELDS) & self.model_fields_set:
            if getattr(self, name) and self.kind not in _KIND_FIELDS[name]:
                kinds = " or ".join(_KIND_FIELDS[name])
                raise ValueError(f"'{name}' is for kind {kinds}, not for '{self.kind}'")
        if self.known_hosts and self.host_key:
            raise ValueError("'known_hosts' and 'host_key' exclude each other")
        if self.has_accounts and self.job_user:
            raise ValueError("'job_user' and an account for each wallet exclude each other")
        return self

    @field_validator("user_template")
    @classmethod
    def _an_account_each(cls, text: str) -> str:
        if text:
            check_template(text)
        return text

    @field_validator("host_key")
    @classmethod
    def _one_key(cls, text: str) -> str:
        if text and not re.fullmatch(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\n]*)?", text.strip()):
            raise ValueError("write type and key as in a known_hosts file: 'ssh-ed25519 AAAA…'")
        return text.strip()

    @property
    def has_accounts(self) -> bool:
        """Whether each wallet has an account of its own."""
        return bool(self.user_template or self.users_file)
