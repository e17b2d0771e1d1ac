// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {JobStatus} from "./types/Job.sol";

// Every custom error of the contracts. docs/contracts.md says in words when each one is raised.

// ---- Job life cycle ----------------------------------------------------------------------------

/// @notice There is no job with this id.
error InvalidJob();

/// @notice The job asks for no task, no hardware thread or no memory.
error InvalidJobDefinition();

/// @notice The job already has the status asked for.
error SameStatusError();

/// @notice A job with status `from` cannot get status `to`.
error InvalidTransition(JobStatus from, JobStatus to);

/// @notice The job has ended with status `current`.
error JobHotStatusOnly(JobStatus current);

/// @notice The job has status `current`; it must be placed or claimed.
error MetaScheduledScheduledStatusOnly(JobStatus current);

/// @notice The job has status `current`; it must be claimed or running.
error RunningScheduledStatusOnly(JobStatus current);

/// @notice A provider reported status `current`; it can report `Running` or an end only.
error RunningColdStatusOnly(JobStatus current);

/// @notice New requests are switched off.
error NewJobRequestDisabled();

/// @notice It is `current` (Unix seconds); nobody may take this job from its provider before `due`.
error NotExpired(uint256 current, uint256 due);

/// @notice The times of a report must stand as `claimedAt` <= `start` <= `end` <= now.
error InvalidReportTimes(bytes32 jobId, uint256 start, uint256 end, uint256 claimedAt);

// ---- Callers -----------------------------------------------------------------------------------

/// @notice The caller `current` is not the job's customer `expected`.
error CustomerOnly(address current, address expected);

/// @notice The caller `current` is not the job's provider `expected`.
error JobProviderOnly(address current, address expected);

/// @notice The caller is neither the job's customer, nor its provider, nor a meta-scheduler.
error CustomerMetaSchedulerProviderOnly();

/// @notice The provider is not approved, or banned.
error ProviderNotJoined();

/// @notice The caller `current` was not named as the next administrator; `expected` was.
error PendingAdminOnly(address current, address expected);

// ---- Money -------------------------------------------------------------------------------------

/// @notice `available` credit-wei were offered or are there, `required` are needed.
error InsufficientFunds(uint256 available, uint256 required);

/// @notice `amount` credit-wei are more than one job can hold (`limit`).
error AmountTooLarge(uint256 amount, uint256 limit);

/// @notice The customer lets nobody top this job up.
error NoSpendingAuthority();

/// @notice The job still has `remaining` minutes; a top-up is due at `limit`.
error RemainingTimeAboveLimit(uint256 remaining, uint256 limit);

// ---- Queues ------------------------------------------------------------------------------------

/// @notice Nothing in this queue is left for the provider.
error NoJob();

// ---- Providers ---------------------------------------------------------------------------------

/// @notice The provider is unknown.
error NoProvider();

/// @notice The provider is banned.
error Banned();

/// @notice The provider is in this state already.
error AlreadyDone();

/// @notice The provider has no proposal that waits for approval.
error WaitingApprovalOnly();

/// @notice The proposal has the hash `current`; the one to be approved had `expected`.
error ProposalChanged(bytes32 current, bytes32 expected);

/// @notice The hardware has no node.
error InvalidNodesCount();

/// @notice The hardware's arrays do not have one entry a node.
error ArrayLengthMismatch();

/// @notice The hardware has no hardware thread.
error InvalidTotalCpus();

/// @notice The hardware has no memory.
error InvalidTotalMem();

// ---- Parameters and sizes ----------------------------------------------------------------------

/// @notice `value` is above the parameter's `limit`.
error ConstantOutOfBounds(uint256 value, uint256 limit);

/// @notice `value` is below the least that the parameter can be (`limit`).
error ConstantBelowBound(uint256 value, uint256 limit);

/// @notice A text has `size` bytes; `limit` are allowed.
error TextTooLong(uint256 size, uint256 limit);

/// @notice A list has `size` entries; `limit` are allowed.
error ListTooLong(uint256 size, uint256 limit);

/// @notice A job definition or a provider's offer has `size` bytes; `limit` fit.
error DataTooLarge(uint256 size, uint256 limit);

// ---- Faucet ------------------------------------------------------------------------------------

/// @notice Nothing is promised to `user`.
error NothingToClaim(address user);
