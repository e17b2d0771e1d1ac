// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {ConstantOutOfBounds} from "./Errors.sol";
import {IConstants} from "./interfaces/IConstants.sol";

/// @title Parameters of the grid
contract Constants is IConstants, Ownable {
    /// @notice The largest share of a job's cost the operator can take, in percent.
    uint256 public constant MAX_DEEPSQUARE_CUT = 100;

    /// @inheritdoc IConstants
    uint256 public minimumAmount = 100e18;

    /// @inheritdoc IConstants
    uint256 public deepsquareCut = 20;

    /// @inheritdoc IConstants
    uint256 public billDurationDeltaMinute = 15;

    /// @inheritdoc IConstants
    uint64 public topUpSliceDurationMin = 30;

    /// @inheritdoc IConstants
    uint256 public cancellationFeeMinute = 5;

    /// @inheritdoc IConstants
    uint64 public claimJobTimeout = 10;

    /// @inheritdoc IConstants
    function setMinimumAmount(uint256 _minimumAmount) external onlyOwner {
        minimumAmount = _minimumAmount;
    }

    /// @inheritdoc IConstants
    function setDeepsquareCut(uint256 _deepsquareCut) external onlyOwner {
        if (_deepsquareCut > MAX_DEEPSQUARE_CUT) {
            revert ConstantOutOfBounds(_deepsquareCut, MAX_DEEPSQUARE_CUT);
        }
        deepsquareCut = _deepsquareCut;
    }

    /// @inheritdoc IConstants
    function setBillDurationDeltaMinute(uint256 _billDurationDeltaMinute) external onlyOwner {
        billDurationDeltaMinute = _billDurationDeltaMinute;
    }

    /// @inheritdoc IConstants
    function setTopUpSliceDurationMin(uint64 _topUpSliceDurationMin) external onlyOwner {
        topUpSliceDurationMin = _topUpSliceDurationMin;
    }

    /// @inheritdoc IConstants
    function setCancellationFeeMinute(uint256 _cancellationFeeMinute) external onlyOwner {
        cancellationFeeMinute = _cancellationFeeMinute;
    }

    /// @inheritdoc IConstants
    function setClaimJobTimeout(uint64 _claimJobTimeout) external onlyOwner {
        claimJobTimeout = _claimJobTimeout;
    }
}
