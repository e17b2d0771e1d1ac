"""Settings of the sbatch API."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

DAY = 24 * 3600.0


class ServiceSettings(BaseModel):
    """Where the service listens, what it trusts and what it allows.

    Attributes:
        data_dir: Folder of the database, the logs and the key that encrypts both (0700).
        http_host: Address of the GraphQL API; port 0 takes a free one.
        grpc_host: Address of the gRPC services; port 0 takes a free one.
        rpc_url: The chain's JSON-RPC endpoint.
        chain_id: Chain that the endpoint must serve; None takes any.
        metascheduler: Address of the MetaScheduler contract.
        logger_endpoint: What providers are told as the log service; "" tells this service's
            own gRPC address.
        pre_hook_file: Shell text that is put near the top of every script.
        post_hook_file: Shell text that is put at the end of every script.
        tls_cert: PEM certificate chain for both ports; None speaks plain text.
        tls_key: PEM key of ``tls_cert``.
        allow_unsigned_logs: Take log lines that carry no signature, as old writers send them.
        max_body_bytes: Longest request body.
        max_steps: Most steps in one workflow, at all levels.
        max_script_bytes: Longest rendered script.
        max_log_line_bytes: Longest line of a log.
        unseen_seconds: Life of a script that no job on chain names.
        grace_seconds: Life of a script after its last job has ended.
        cleanup_seconds: How often old scripts are looked for.
        log_end_seconds: A followed log ends when its job has ended and for so long nothing
            came, even if its writer never said that it is complete.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Path
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=3000, ge=0, lt=1 << 16)
    grpc_host: str = "127.0.0.1"
    grpc_port: int = Field(default=3001, ge=0, lt=1 << 16)
    rpc_url: str = ""
    chain_id: int | None = None
    metascheduler: str | None = None
    logger_endpoint: str = ""
    pre_hook_file: Path | None = None
    post_hook_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allow_unsigned_logs: bool = False
    max_body_bytes: int = Field(default=4 << 20, gt=0)
    max_steps: int = Field(default=10_000, gt=0)
    max_script_bytes: int = Field(default=32 << 20, gt=0)
    max_log_line_bytes: int = Field(default=1 << 20, gt=0)
    unseen_seconds: float = Field(default=DAY, gt=0)
    grace_seconds: float = Field(default=DAY, gt=0)
    cleanup_seconds: float = Field(default=600.0, gt=0)
    log_end_seconds: float = Field(default=15.0, gt=0)

    @model_validator(mode="after")
    def _certificate_and_key(self) -> ServiceSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key come together")
        return self
