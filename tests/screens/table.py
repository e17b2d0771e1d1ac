"""All states of all screens by name."""

from __future__ import annotations

from tests.screens.states import STATES as USUAL
from tests.screens.states import State
from tests.screens.states_access import ACCESS
from tests.screens.states_more import MORE
from tests.screens.states_operator import OPERATOR

STATES: dict[str, State] = {**USUAL, **ACCESS, **MORE, **OPERATOR}
"""All of them."""

SHOWN_BY = {
    "JobsScreen": "jobs",
    "JobScreen": "job",
    "LogScreen": "log",
    "SubmitScreen": "submit",
    "ProvidersScreen": "providers",
    "WalletScreen": "wallet",
    "GridScreen": "grid",
    "NoticesScreen": "notices",
    "AskText": "search",
    "Choose": "sort",
    "ChooseColumns": "columns",
    "Compare": "compare",
    "Confirm": "cancel",
    "ConfirmSubmit": "submit-confirm",
    "FirstRun": "first-grid",
    "Help": "help",
    "Settings": "settings",
    "MakeKey": "first-new-key",
    "SaveFile": "log-save",
    "OpenFile": "open-file",
    "ShowText": "job-workflow",
    "TopUp": "top-up",
    "Transfer": "transfer",
    "Unlock": "unlock",
    "AskSecrets": "submit-secrets",
    "JobsView": "provider",
    "ClusterView": "provider-cluster",
    "PricesView": "provider-prices",
    "TransactionsView": "provider-transactions",
    "LogView": "provider-log",
    "NoticesView": "provider-notices",
}
"""A state in which each screen and dialog is in front."""
