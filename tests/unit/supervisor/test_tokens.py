"""The tokens of jobs and attempts."""

from __future__ import annotations

from dsq.core.model import Address
from dsq.core.wallet import Wallet
from dsq.supervisor.tokens import attempt_token, job_token, seed_of

ONE, OTHER = Address(b"\x01" * 20), Address(b"\x02" * 20)


def test_a_job_is_named_alike_by_all_its_attempts_and_by_no_other_grid() -> None:
    """The same wallet on another chain or other contracts names the same number otherwise."""
    wallet = Wallet.generate()
    seeds = [seed_of(wallet, chain, at) for chain, at in ((1, ONE), (2, ONE), (1, OTHER))]
    assert len({job_token(seed, 1) for seed in seeds}) == 3
    assert job_token(seeds[0], 1) == job_token(seed_of(wallet, 1, ONE), 1)
    assert job_token(seeds[0], 1) != job_token(seeds[0], 2)


def test_an_attempt_is_named_by_its_claim_and_number() -> None:
    """Another claim or attempt has another token; without a claim's time it is random."""
    seed = seed_of(Wallet.generate(), 1, ONE)
    tokens = {attempt_token(seed, 1, claim, number) for claim in (5, 6) for number in (1, 2)}
    assert len(tokens) == 4
    assert attempt_token(seed, 1, 5, 1) in tokens
    assert attempt_token(seed, 1, 0, 1) != attempt_token(seed, 1, 0, 1)
