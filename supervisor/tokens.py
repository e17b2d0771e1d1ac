"""Names of attempts that nobody can guess, and that need no journal to be known again.

The token of an attempt is part of its output's path in Slurm, and the only proof that a
Slurm job is ours (its name can be changed by its user). It is made of a secret of the
wallet, the job, the time of its claim and the number of the attempt. So it comes out the
same when the journal is lost, and on two machines that use one key: the second sbatch of
an attempt meets the mark that the first one's script left, and ends at once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsq.core.model import Address
    from dsq.core.wallet import Wallet

TOKEN_DIGITS = 16


def seed_of(wallet: Wallet, chain_id: int, contract: Address) -> bytes:
    """The secret of a wallet's attempts on one grid; says nothing about the key."""
    words = f"dsq: secret of attempts on {chain_id}/{contract.lower}. Sign nowhere else."
    return hashlib.sha256(wallet.sign_text(words)).digest()


def attempt_token(seed: bytes, job_id: int, claim_time: int, attempt: int) -> str:
    """The token of an attempt.

    Args:
        seed: Of :func:`seed_of`; empty makes a random token.
        claim_time: When the chain had the claim; 0 (not known) makes a random token.
        attempt: Its number in this claim, from 1.
    """
    if not seed or not claim_time:
        return secrets.token_hex(TOKEN_DIGITS // 2)
    return _named(seed, f"{job_id}/{claim_time}/{attempt}")


def job_token(seed: bytes, job_id: int) -> str:
    """The token of a job, the same for all its claims and attempts.

    Two grids number their jobs alike, and one account may serve one after the other: as the
    seed is of one grid, what its job left behind means nothing to the other's.
    """
    return _named(seed, f"{job_id}")


def _named(seed: bytes, words: str) -> str:
    return hmac.new(seed, words.encode(), hashlib.sha256).hexdigest()[:TOKEN_DIGITS]
