// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {JobStatusLib} from "./libraries/JobStatusLib.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Demand, Job, JobDefinition, JobStatus} from "./types/Job.sol";
import {ProviderPrices} from "./types/Provider.sol";

/// @title The rules of the life cycle and the formulas of the prices, callable from outside
/// @notice The other contracts have these rules built in and do not call this one.
contract Tools {
    /// @notice Reverts unless a job may go from one status to the other: `SameStatusError`,
    /// `JobHotStatusOnly` or `InvalidTransition`, checked in this order.
    function checkNewJobStatus(JobStatus _currentJobStatus, JobStatus _nextJobStatus)
        external
        pure
    {
        JobStatusLib.checkTransition(_currentJobStatus, _nextJobStatus);
    }

    /// @notice Whole minutes that `amountLocked` credit-wei buy; the most there is at a rate of
    /// zero.
    function convertCreditToDuration(
        JobDefinition memory jobDefinition,
        ProviderPrices memory providerPrices,
        uint256 amountLocked
    ) external pure returns (uint64) {
        return Pricing.duration(_rate(jobDefinition, providerPrices), amountLocked);
    }

    /// @notice Credit-wei that `durationMinute` minutes of the job cost.
    function convertDurationToCredit(
        JobDefinition memory jobDefinition,
        ProviderPrices memory providerPrices,
        uint64 durationMinute
    ) external pure returns (uint256) {
        return Pricing.cost(_rate(jobDefinition, providerPrices), durationMinute);
    }

    /// @notice Whole minutes that a running job has left at these prices; zero once it has overrun.
    function getRemainingTime(Job memory job, ProviderPrices memory providerPrices)
        external
        view
        returns (uint64)
    {
        return Pricing.remaining(
            _rate(job.definition, providerPrices), job.cost.maxCost, job.time.start
        );
    }

    /// @notice Whether a job with this status takes top-ups.
    function isDelegateTopable(JobStatus _jobStatus) external pure returns (bool) {
        return JobStatusLib.isTopable(_jobStatus);
    }

    /// @notice Whether a job with this status has ended.
    function isJobCold(JobStatus _jobStatus) external pure returns (bool) {
        return JobStatusLib.isCold(_jobStatus);
    }

    /// @notice Whether the job asks for at least one task, hardware thread and MB.
    function isJobDefinitionValid(JobDefinition memory _jobDefinition)
        external
        pure
        returns (bool)
    {
        return Pricing.isValid(_jobDefinition);
    }

    /// @notice Whether a job with this status can still change.
    function isJobHot(JobStatus _jobStatus) external pure returns (bool) {
        return JobStatusLib.isHot(_jobStatus);
    }

    function _rate(JobDefinition memory definition, ProviderPrices memory prices)
        private
        pure
        returns (uint256)
    {
        return Pricing.ratePerMinute(
            Demand(
                definition.gpus, definition.memPerCpu, definition.cpusPerTask, definition.ntasks
            ),
            prices
        );
    }
}
