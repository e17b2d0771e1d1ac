// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

import {ConstantBelowBound, ConstantOutOfBounds} from "./Errors.sol";
import {IConstants} from "./interfaces/IConstants.sol";
import {Terms} from "./types/Terms.sol";

/// @title Parameters of the grid
/// @dev All of them lie in one slot, so that a placement reads them at once.
contract Constants is IConstants, Ownable2Step {
    /// @notice Largest `minimumAmount`: a million credits.
    uint256 public constant MAX_MINIMUM_AMOUNT = 1e24;

    /// @notice The largest share of a job's cost the operator can take, in percent.
    uint256 public constant MAX_DEEPSQUARE_CUT = 100;

    /// @notice Largest parameter in minutes: thirty days. It fits 16 bits.
    uint256 public constant MAX_MINUTES = 43_200;

    /// @notice Least `cancelTimeout` in minutes: a provider must have the time to answer.
    uint256 public constant MIN_CANCEL_TIMEOUT = 5;

    /// @notice Least `providerTimeout` in minutes: a restart must not cost a provider its jobs.
    uint256 public constant MIN_PROVIDER_TIMEOUT = 60;

    /// @dev The parameters; each has a getter of its name.
    /// @param minimumAmount Least credit-wei that a new job locks.
    /// @param deepsquareCut Percent.
    /// @param billDurationDeltaMinute Minutes; for old clients.
    /// @param topUpSliceDurationMin Minutes of a delegated top-up.
    /// @param cancellationFeeMinute Minutes; for old clients.
    /// @param claimJobTimeout Minutes until an unclaimed job is taken back.
    /// @param cancelTimeout Minutes to answer a cancel request.
    /// @param providerTimeout Minutes that a provider may be silent or shut out.
    struct Values {
        uint80 minimumAmount;
        uint8 deepsquareCut;
        uint16 billDurationDeltaMinute;
        uint16 topUpSliceDurationMin;
        uint16 cancellationFeeMinute;
        uint16 claimJobTimeout;
        uint16 cancelTimeout;
        uint16 providerTimeout;
    }

    Values private _values = Values({
        minimumAmount: 100e18,
        deepsquareCut: 20,
        billDurationDeltaMinute: 15,
        topUpSliceDurationMin: 30,
        cancellationFeeMinute: 5,
        claimJobTimeout: 10,
        cancelTimeout: 60,
        providerTimeout: 1440
    });

    /// @inheritdoc IConstants
    function setMinimumAmount(uint256 _minimumAmount) external onlyOwner {
        _check("minimumAmount", _values.minimumAmount, _minimumAmount, 1, MAX_MINIMUM_AMOUNT);
        _values.minimumAmount = uint80(_minimumAmount);
    }

    /// @inheritdoc IConstants
    function setDeepsquareCut(uint256 _deepsquareCut) external onlyOwner {
        _check("deepsquareCut", _values.deepsquareCut, _deepsquareCut, 0, MAX_DEEPSQUARE_CUT);
        _values.deepsquareCut = uint8(_deepsquareCut);
    }

    /// @inheritdoc IConstants
    function setBillDurationDeltaMinute(uint256 _billDurationDeltaMinute) external onlyOwner {
        _check(
            "billDurationDeltaMinute",
            _values.billDurationDeltaMinute,
            _billDurationDeltaMinute,
            0,
            MAX_MINUTES
        );
        _values.billDurationDeltaMinute = uint16(_billDurationDeltaMinute);
    }

    /// @inheritdoc IConstants
    function setTopUpSliceDurationMin(uint64 _topUpSliceDurationMin) external onlyOwner {
        _check(
            "topUpSliceDurationMin",
            _values.topUpSliceDurationMin,
            _topUpSliceDurationMin,
            1,
            MAX_MINUTES
        );
        _values.topUpSliceDurationMin = uint16(_topUpSliceDurationMin);
    }

    /// @inheritdoc IConstants
    function setCancellationFeeMinute(uint256 _cancellationFeeMinute) external onlyOwner {
        _check(
            "cancellationFeeMinute",
            _values.cancellationFeeMinute,
            _cancellationFeeMinute,
            0,
            MAX_MINUTES
        );
        _values.cancellationFeeMinute = uint16(_cancellationFeeMinute);
    }

    /// @inheritdoc IConstants
    function setClaimJobTimeout(uint64 _claimJobTimeout) external onlyOwner {
        _check("claimJobTimeout", _values.claimJobTimeout, _claimJobTimeout, 1, MAX_MINUTES);
        _values.claimJobTimeout = uint16(_claimJobTimeout);
    }

    /// @inheritdoc IConstants
    function setCancelTimeout(uint64 _cancelTimeout) external onlyOwner {
        _check(
            "cancelTimeout", _values.cancelTimeout, _cancelTimeout, MIN_CANCEL_TIMEOUT, MAX_MINUTES
        );
        _values.cancelTimeout = uint16(_cancelTimeout);
    }

    /// @inheritdoc IConstants
    function setProviderTimeout(uint64 _providerTimeout) external onlyOwner {
        _check(
            "providerTimeout",
            _values.providerTimeout,
            _providerTimeout,
            MIN_PROVIDER_TIMEOUT,
            MAX_MINUTES
        );
        _values.providerTimeout = uint16(_providerTimeout);
    }

    /// @inheritdoc IConstants
    function minimumAmount() external view returns (uint256) {
        return _values.minimumAmount;
    }

    /// @inheritdoc IConstants
    function deepsquareCut() external view returns (uint256) {
        return _values.deepsquareCut;
    }

    /// @inheritdoc IConstants
    function billDurationDeltaMinute() external view returns (uint256) {
        return _values.billDurationDeltaMinute;
    }

    /// @inheritdoc IConstants
    function topUpSliceDurationMin() external view returns (uint64) {
        return _values.topUpSliceDurationMin;
    }

    /// @inheritdoc IConstants
    function cancellationFeeMinute() external view returns (uint256) {
        return _values.cancellationFeeMinute;
    }

    /// @inheritdoc IConstants
    function claimJobTimeout() external view returns (uint64) {
        return _values.claimJobTimeout;
    }

    /// @inheritdoc IConstants
    function cancelTimeout() external view returns (uint64) {
        return _values.cancelTimeout;
    }

    /// @inheritdoc IConstants
    function providerTimeout() external view returns (uint64) {
        return _values.providerTimeout;
    }

    /// @inheritdoc IConstants
    function terms() external view returns (Terms memory) {
        return Terms({
            feePercent: _values.deepsquareCut,
            topUpSlice: _values.topUpSliceDurationMin,
            claimTimeout: _values.claimJobTimeout,
            cancelTimeout: _values.cancelTimeout,
            providerTimeout: _values.providerTimeout
        });
    }

    /// @dev Refuses a value outside its bounds, and tells of one inside.
    function _check(
        string memory name,
        uint256 previous,
        uint256 value,
        uint256 least,
        uint256 most
    ) private {
        if (value > most) revert ConstantOutOfBounds(value, most);
        if (value < least) revert ConstantBelowBound(value, least);
        emit ConstantChanged(name, previous, value);
    }
}
