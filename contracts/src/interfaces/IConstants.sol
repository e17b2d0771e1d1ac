// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Terms} from "../types/Terms.sol";

/// @title Parameters of the grid
/// @notice Each has bounds: a value outside is refused with `ConstantOutOfBounds` or
/// `ConstantBelowBound`. A placed job keeps those it was placed under.
interface IConstants {
    /// @notice A parameter was set; `name` is that of its getter.
    event ConstantChanged(string name, uint256 previous, uint256 value);

    /// @notice Least credit-wei that a new job locks.
    function minimumAmount() external view returns (uint256);

    /// @notice The operator's share of a job's cost, in percent.
    function deepsquareCut() external view returns (uint256);

    /// @notice Kept for old clients: minutes a provider could once bill beyond the elapsed time.
    /// The contracts do not read it.
    function billDurationDeltaMinute() external view returns (uint256);

    /// @notice Minutes that one delegated top-up buys, and the remaining minutes at which it is
    /// due.
    function topUpSliceDurationMin() external view returns (uint64);

    /// @notice Kept for old clients: no cancellation fee is charged.
    function cancellationFeeMinute() external view returns (uint256);

    /// @notice Minutes after which an unclaimed job is taken back: by the meta-scheduler, or by
    /// anyone.
    function claimJobTimeout() external view returns (uint64);

    /// @notice Minutes that a provider has to answer a cancel request.
    function cancelTimeout() external view returns (uint64);

    /// @notice Minutes that a provider may be silent behind the time that was bought, or shut out,
    /// before anyone may release its jobs.
    function providerTimeout() external view returns (uint64);

    /// @notice The parameters that a job keeps from its placement on.
    function terms() external view returns (Terms memory);

    /// @notice Sets the least credit-wei that a new job locks. Owner only.
    function setMinimumAmount(uint256 _minimumAmount) external;

    /// @notice Sets the operator's share in percent, at most 100. Owner only. Jobs that are placed
    /// keep the share they were placed with.
    function setDeepsquareCut(uint256 _deepsquareCut) external;

    /// @notice Sets a parameter that only old clients read. Owner only.
    function setBillDurationDeltaMinute(uint256 _billDurationDeltaMinute) external;

    /// @notice Sets the minutes of a delegated top-up. Owner only.
    function setTopUpSliceDurationMin(uint64 _topUpSliceDurationMin) external;

    /// @notice Sets a parameter that only old clients read. Owner only.
    function setCancellationFeeMinute(uint256 _cancellationFeeMinute) external;

    /// @notice Sets the minutes after which an unclaimed job is taken back. Owner only.
    function setClaimJobTimeout(uint64 _claimJobTimeout) external;

    /// @notice Sets the minutes that a provider has to answer a cancel request. Owner only.
    function setCancelTimeout(uint64 _cancelTimeout) external;

    /// @notice Sets the minutes that a provider may be silent or shut out. Owner only.
    function setProviderTimeout(uint64 _providerTimeout) external;
}
