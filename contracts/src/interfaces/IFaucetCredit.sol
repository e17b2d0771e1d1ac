// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title Credits that the operator gives away
/// @notice The operator promises credits to accounts, and each takes its own. Nothing is promised
/// that the faucet does not hold, and what is promised cannot be taken back.
interface IFaucetCredit {
    /// @notice `user` may claim `amount` more; `promised` is all that it may claim now.
    event UserCredited(address indexed user, uint256 amount, uint256 promised);

    /// @notice `user` took what was promised to it.
    event CreditClaimed(address indexed user, uint256 amount);

    /// @notice The owner took back what was promised to nobody.
    event FaucetWithdrawn(address indexed to, uint256 amount);

    /// @notice Credit-wei that an account may claim.
    function addressToUserCredit(address user) external view returns (uint256);

    /// @notice Credit-wei that an account has claimed so far.
    function addressToAmountDistributed(address user) external view returns (uint256);

    /// @notice Credit-wei that all accounts together have claimed so far.
    function totalDistributed() external view returns (uint256);

    /// @notice Credit-wei that all accounts together may claim.
    function totalPromised() external view returns (uint256);

    /// @notice Credit-wei that the faucet holds and has promised to nobody.
    function available() external view returns (uint256);

    /// @notice Promises credits to an account. Owner only. The faucet must hold them:
    /// `InsufficientFunds(available, creditAmount)` otherwise.
    /// @param userAddr Who may claim them.
    /// @param creditAmount How many credit-wei, in addition to what was promised before.
    function creditUser(address userAddr, uint256 creditAmount) external;

    /// @notice Pays the caller what was promised to it; `NothingToClaim` if that is nothing. If the
    /// token refuses the payment, the promise stays.
    function claim() external;

    /// @notice Pays out what was promised to nobody. Owner only.
    /// @param to Who gets it.
    /// @param amount How many credit-wei; `InsufficientFunds(available, amount)` if that is more
    /// than is free.
    function withdraw(address to, uint256 amount) external;
}
