"""Keys that everyone knows."""

from __future__ import annotations

import pytest

from dsq.core.chain.published import DEV_CHAIN_ID, PUBLISHED, refuse_published_key
from dsq.core.errors import WalletError
from dsq.core.model import Address
from dsq.core.wallet import Wallet


def test_published_keys_are_known() -> None:
    """The accounts of the development mnemonic are all refused on other chains."""
    from eth_account import Account

    Account.enable_unaudited_hdwallet_features()
    words = "test " * 11 + "junk"
    for place in (0, 9, 19):
        account = Account.from_mnemonic(words, account_path=f"m/44'/60'/0'/0/{place}")
        address = Address.parse(account.address)
        assert address in PUBLISHED
        refuse_published_key(address, DEV_CHAIN_ID)
        with pytest.raises(WalletError, match="not used on chain 1"):
            refuse_published_key(address, 1)


def test_own_key_is_fine() -> None:
    """Any other key may be used anywhere."""
    refuse_published_key(Wallet.generate().address, 1)
