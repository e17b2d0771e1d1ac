"""Settings of one provider: a TOML file, checked strictly.

docs/provider.md lists every field; a test compares that table with these models.
Relative paths are relative to the file that names them.
"""

from dsq.supervisor.settings.cluster import ClusterSettings, Kind
from dsq.supervisor.settings.file import check_files, load_settings, parse_settings
from dsq.supervisor.settings.owner import account_problem, is_this_host
from dsq.supervisor.settings.tables import (
    BenchmarkKind,
    BenchmarkSettings,
    ChainSettings,
    HttpSettings,
    LogSettings,
    PriceSettings,
    ProviderSettings,
    ServiceSettings,
    TimingSettings,
    WalletSettings,
    normalise,
)

__all__ = [
    "BenchmarkKind",
    "BenchmarkSettings",
    "ChainSettings",
    "ClusterSettings",
    "HttpSettings",
    "Kind",
    "LogSettings",
    "PriceSettings",
    "ProviderSettings",
    "ServiceSettings",
    "TimingSettings",
    "WalletSettings",
    "account_problem",
    "check_files",
    "is_this_host",
    "load_settings",
    "normalise",
    "parse_settings",
]
