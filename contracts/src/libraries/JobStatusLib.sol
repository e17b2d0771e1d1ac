// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {InvalidTransition, JobHotStatusOnly, SameStatusError} from "../Errors.sol";
import {JobStatus} from "../types/Job.sol";

/// @title The states of a job and the ways between them
library JobStatusLib {
    /// @dev For each hot status the set of statuses it may turn into: bit 9 * from + to. Rows, from
    /// the lowest bits: Pending {1,4,8}, MetaScheduled {0,2,4,8}, Scheduled {0,3,4,6,8},
    /// Running {4,5,6,7,8}.
    uint256 private constant ALLOWED = 0x112 | (0x115 << 9) | (0x159 << 18) | (0x1F0 << 27);

    /// @notice Whether a job with this status can still change.
    function isHot(JobStatus status) internal pure returns (bool) {
        return status <= JobStatus.Running;
    }

    /// @notice Whether a job with this status has ended.
    function isCold(JobStatus status) internal pure returns (bool) {
        return status > JobStatus.Running;
    }

    /// @notice Whether a job with this status takes top-ups.
    function isTopable(JobStatus status) internal pure returns (bool) {
        return status == JobStatus.Scheduled || status == JobStatus.Running;
    }

    /// @notice Reverts unless a job may go from one status to the other.
    function checkTransition(JobStatus from, JobStatus to) internal pure {
        if (from == to) revert SameStatusError();
        if (isCold(from)) revert JobHotStatusOnly(from);
        if (!canBecome(from, to)) revert InvalidTransition(from, to);
    }

    /// @notice Whether a job may go from one status to the other.
    function canBecome(JobStatus from, JobStatus to) internal pure returns (bool) {
        // The rows of the cold statuses are empty.
        return (ALLOWED >> (9 * uint256(from) + uint256(to))) & 1 == 1;
    }
}
