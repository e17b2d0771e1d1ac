// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @notice States of a job. `Pending` to `Running` are hot (the job can still change), the others
/// are cold (the job has ended).
enum JobStatus {
    Pending,
    MetaScheduled,
    Scheduled,
    Running,
    Cancelled,
    Finished,
    Failed,
    OutOfCredits,
    Panicked
}

/// @notice Where a job's files are kept. Informative: no contract reads it.
enum StorageType {
    TransferSh,
    Http,
    S3,
    Reserved,
    None
}

/// @notice A fact about a provider, or a demand of a job.
/// @param key What it is about.
/// @param value What is said about it.
struct Label {
    string key;
    string value;
}

/// @notice A demand on a label: the provider's label `label.key` must stand in `op` to
/// `label.value`.
/// @param label The key, and what the provider's value is compared with.
/// @param op ASCII padded with NUL: `==`, `!=`, `<`, `<=`, `>`, `>=` or `in`.
struct Affinity {
    Label label;
    bytes2 op;
}

/// @notice What a job needs.
/// @param gpus GPUs of the whole job.
/// @param memPerCpu MB a hardware thread.
/// @param cpusPerTask Hardware threads a task.
/// @param ntasks Number of tasks.
/// @param batchLocationHash Key of the script in the sbatch service.
/// @param storageType Where the job's files are kept.
/// @param uses Labels the provider must have.
/// @param affinity Demands on the provider's labels.
struct JobDefinition {
    uint64 gpus;
    uint64 memPerCpu;
    uint64 cpusPerTask;
    uint64 ntasks;
    string batchLocationHash;
    StorageType storageType;
    Label[] uses;
    Affinity[] affinity;
}

/// @notice The numbers of a JobDefinition: what a job needs of whoever runs it.
/// @param gpus GPUs of the whole job.
/// @param memPerCpu MB a hardware thread.
/// @param cpusPerTask Hardware threads a task.
/// @param ntasks Number of tasks.
struct Demand {
    uint64 gpus;
    uint64 memPerCpu;
    uint64 cpusPerTask;
    uint64 ntasks;
}

/// @notice Money of a job, in credit-wei (1e18 a credit).
/// @param maxCost What is locked, top-ups included.
/// @param finalCost What the job did cost; zero before its end.
/// @param pendingTopUp The part of `maxCost` that the provider has not turned into time yet.
/// @param delegateSpendingAuthority Whether others may top the job up from the customer's account.
struct JobCost {
    uint256 maxCost;
    uint256 finalCost;
    uint256 pendingTopUp;
    bool delegateSpendingAuthority;
}

/// @notice Times of a job in Unix seconds (zero: not yet), and one block number.
/// @param submit When the job was requested.
/// @param start When it began to run; its end if it never ran.
/// @param end When it ended.
/// @param cancelRequestTimestamp When its customer asked for the end; the time of submission
/// before.
/// @param blockNumberStateChange The block of the last change of status.
/// @param panicTimestamp When it panicked.
struct JobTime {
    uint256 submit;
    uint256 start;
    uint256 end;
    uint256 cancelRequestTimestamp;
    uint256 blockNumberStateChange;
    uint256 panicTimestamp;
}

/// @notice A job.
/// @param jobId A sequential number, from 1.
/// @param status Where it stands.
/// @param customerAddr Who requested it and pays.
/// @param providerAddr The provider it is placed with; zero while there is none.
/// @param definition What it needs.
/// @param cost Its money.
/// @param time Its times.
/// @param jobName A name for people.
/// @param hasCancelRequest Whether its customer asked for the end.
/// @param lastError The words that it ended with.
/// @param exitCode The wait status its provider reported (exit code 3 is 768).
struct Job {
    bytes32 jobId;
    JobStatus status;
    address customerAddr;
    address providerAddr;
    JobDefinition definition;
    JobCost cost;
    JobTime time;
    bytes32 jobName;
    bool hasCancelRequest;
    string lastError;
    int64 exitCode;
}

/// @notice The times of a job that change, as in JobTime.
/// @param start When it began to run; its end if it never ran.
/// @param end When it ended.
/// @param cancelRequestTimestamp When its customer asked for the end.
/// @param blockNumberStateChange The block of the last change of status.
/// @param panicTimestamp When it panicked.
struct JobClock {
    uint256 start;
    uint256 end;
    uint256 cancelRequestTimestamp;
    uint256 blockNumberStateChange;
    uint256 panicTimestamp;
}

/// @notice The part of a job that changes: all that its life cycle depends on; as in Job.
/// @param status Where it stands.
/// @param customerAddr Who requested it and pays.
/// @param providerAddr The provider it is placed with; zero while there is none.
/// @param cost Its money.
/// @param time Its times, but the submission.
/// @param hasCancelRequest Whether its customer asked for the end.
/// @param exitCode The wait status its provider reported.
struct JobState {
    JobStatus status;
    address customerAddr;
    address providerAddr;
    JobCost cost;
    JobClock time;
    bool hasCancelRequest;
    int64 exitCode;
}

/// @notice A JobState as it is stored and as the grid's contracts hand it to each other; StateCodec
/// says what is where.
/// @param owner Whose the job is and what is locked; seldom changes after the request.
/// @param step What each step of its life writes.
/// @param outcome With whom it is and what it cost; from the placement on.
/// @param rest What few jobs have.
struct PackedState {
    uint256 owner;
    uint256 step;
    uint256 outcome;
    uint256 rest;
}
