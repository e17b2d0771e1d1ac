// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Constants} from "../../src/Constants.sol";
import {JobRepository} from "../../src/JobRepository.sol";
import {MetaScheduler} from "../../src/MetaScheduler.sol";
import {ProviderJobQueues} from "../../src/ProviderJobQueues.sol";
import {ProviderManager} from "../../src/ProviderManager.sol";
import {JobStatusLib} from "../../src/libraries/JobStatusLib.sol";
import {JobState, JobStatus} from "../../src/types/Job.sol";
import {JobTerms} from "../../src/types/JobTerms.sol";
import {StubbornCredit} from "../support/StubbornCredit.sol";
import {Vm} from "../support/Vm.sol";
import {Handler} from "./Handler.sol";

/// @notice What holds whatever the actors of a grid do. README.md says each in words.
contract InvariantsTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    Handler private handler;
    StubbornCredit private credit;
    Constants private constants;
    JobRepository private jobs;
    ProviderManager private providers;
    ProviderJobQueues private queues;
    MetaScheduler private scheduler;

    function setUp() external {
        handler = new Handler();
        handler.begin();
        credit = handler.credit();
        constants = handler.constants();
        jobs = handler.jobs();
        providers = handler.providers();
        queues = handler.queues();
        scheduler = handler.scheduler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @notice The usual course of a job comes up more often than the rest.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[36] memory all = [
            handler.request.selector,
            handler.request.selector,
            handler.cancel.selector,
            handler.topUp.selector,
            handler.topUpDelegate.selector,
            handler.setDelegate.selector,
            handler.place.selector,
            handler.placeAll.selector,
            handler.placeAll.selector,
            handler.timeOut.selector,
            handler.panic.selector,
            handler.claim.selector,
            handler.claim.selector,
            handler.claim.selector,
            handler.claimCancelling.selector,
            handler.claimTopUp.selector,
            handler.refuse.selector,
            handler.run.selector,
            handler.run.selector,
            handler.run.selector,
            handler.end.selector,
            handler.reportBatch.selector,
            handler.reportBatch.selector,
            handler.register.selector,
            handler.pass.selector,
            handler.pass.selector,
            handler.expire.selector,
            handler.expire.selector,
            handler.give.selector,
            handler.withdrawClaimable.selector,
            handler.trespass.selector,
            handler.approve.selector,
            handler.ban.selector,
            handler.remove.selector,
            handler.setConstants.selector,
            handler.withdrawFees.selector
        ];
        targets = new FuzzSelector[](1);
        targets[0].addr = address(handler);
        targets[0].selectors = new bytes4[](41);
        for (uint256 i = 0; i < 36; ++i) {
            targets[0].selectors[i] = all[i];
        }
        targets[0].selectors[36] = handler.block_.selector;
        for (uint256 i = 37; i < 41; ++i) {
            targets[0].selectors[i] = handler.course.selector;
        }
    }

    // ---- Money ----------------------------------------------------------------------------------

    /// forge-config: default.fuzz.seed = "0x1"
    /// forge-config: slow.fuzz.seed = "0x1"
    function invariant_balancesAddUpToWhatWasMinted() external view {
        uint256 sum = credit.balanceOf(address(scheduler)) + credit.balanceOf(address(handler))
            + credit.balanceOf(address(0xCAFE));
        for (uint256 i = 0; i < 3; ++i) {
            sum += credit.balanceOf(handler.customers(i));
            sum += credit.balanceOf(handler.providersOf(i));
        }
        vm.assertEq(sum, handler.minted());
        vm.assertEq(credit.totalSupply(), handler.minted());
    }

    /// forge-config: default.fuzz.seed = "0x2"
    /// forge-config: slow.fuzz.seed = "0x2"
    function invariant_schedulerHoldsEscrowFeesAndDeferred() external view {
        uint256 owed = _sumOfEscrow() + scheduler.accruedFees() + _sumOfClaimable();
        vm.assertEq(credit.balanceOf(address(scheduler)), owed + handler.gifts());
    }

    /// forge-config: default.fuzz.seed = "0x3"
    /// forge-config: slow.fuzz.seed = "0x3"
    function invariant_escrowIsWhatOpenJobsLock() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job, JobTerms memory terms) = _job(i);
            if (JobStatusLib.isHot(job.status)) vm.assertEq(terms.escrow, job.cost.maxCost);
        }
    }

    /// forge-config: default.fuzz.seed = "0x4"
    /// forge-config: slow.fuzz.seed = "0x4"
    function invariant_endedJobsHoldNothing() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job, JobTerms memory terms) = _job(i);
            if (JobStatusLib.isCold(job.status)) vm.assertEq(terms.escrow, 0);
        }
    }

    /// forge-config: default.fuzz.seed = "0x5"
    /// forge-config: slow.fuzz.seed = "0x5"
    function invariant_lockedIsWhatWasPaidIn() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job,) = _job(i);
            vm.assertEq(job.cost.maxCost, handler.locked(bytes32(i)));
        }
    }

    /// forge-config: default.fuzz.seed = "0x6"
    /// forge-config: slow.fuzz.seed = "0x6"
    function invariant_sharesAddUpToTheWei() external view {
        vm.assertEq(handler.violations("shares"), 0);
    }

    /// forge-config: default.fuzz.seed = "0x7"
    /// forge-config: slow.fuzz.seed = "0x7"
    function invariant_jobsAreSettledOnce() external view {
        vm.assertEq(handler.violations("settledTwice"), 0);
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job,) = _job(i);
            uint256 expected = JobStatusLib.isCold(job.status) ? 1 : 0;
            vm.assertEq(handler.settled(bytes32(i)), expected);
        }
    }

    /// forge-config: default.fuzz.seed = "0x8"
    /// forge-config: slow.fuzz.seed = "0x8"
    function invariant_feesAreThoseOfSettlements() external view {
        vm.assertEq(scheduler.accruedFees() + handler.withdrawnFees(), handler.settledFees());
    }

    /// forge-config: default.fuzz.seed = "0x9"
    /// forge-config: slow.fuzz.seed = "0x9"
    function invariant_operatorGetsFeesOnly() external view {
        vm.assertEq(credit.balanceOf(address(handler)), handler.withdrawnFees());
    }

    /// forge-config: default.fuzz.seed = "0xa"
    /// forge-config: slow.fuzz.seed = "0xa"
    function invariant_deferredPaymentsWait() external view {
        vm.assertEq(_sumOfClaimable() + handler.withdrawn(), handler.deferred());
    }

    /// forge-config: default.fuzz.seed = "0xb"
    /// forge-config: slow.fuzz.seed = "0xb"
    function invariant_costIsAtMostWhatWasLocked() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job,) = _job(i);
            vm.assertLe(job.cost.finalCost, job.cost.maxCost);
            vm.assertLe(job.cost.pendingTopUp, job.cost.maxCost);
        }
    }

    /// forge-config: default.fuzz.seed = "0xc"
    /// forge-config: slow.fuzz.seed = "0xc"
    function invariant_neverRanIsFree() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job,) = _job(i);
            if (!handler.ran(bytes32(i))) vm.assertEq(job.cost.finalCost, 0);
        }
    }

    /// forge-config: default.fuzz.seed = "0xd"
    /// forge-config: slow.fuzz.seed = "0xd"
    function invariant_panicIsFree() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job,) = _job(i);
            if (job.status == JobStatus.Panicked) vm.assertEq(job.cost.finalCost, 0);
        }
    }

    /// forge-config: default.fuzz.seed = "0xe"
    /// forge-config: slow.fuzz.seed = "0xe"
    function invariant_billIsBoundedByTheClaim() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job, JobTerms memory terms) = _job(i);
            if (job.cost.finalCost == 0) continue;
            uint256 most = (vm.getBlockTimestamp() - terms.claimedAt) / 1 minutes + 1;
            vm.assertLe(job.cost.finalCost, terms.rate * most);
        }
    }

    /// forge-config: default.fuzz.seed = "0xf"
    /// forge-config: slow.fuzz.seed = "0xf"
    function invariant_noUnrelatedBalanceFalls() external view {
        vm.assertEq(handler.violations("balance"), 0);
    }

    /// forge-config: default.fuzz.seed = "0x10"
    /// forge-config: slow.fuzz.seed = "0x10"
    function invariant_delegatedTopUpsNeedPermission() external view {
        vm.assertEq(handler.violations("delegate"), 0);
    }

    // ---- Life cycle -----------------------------------------------------------------------------

    /// forge-config: default.fuzz.seed = "0x11"
    /// forge-config: slow.fuzz.seed = "0x11"
    function invariant_statusMovesAlongAllowedEdges() external view {
        vm.assertEq(handler.violations("edge"), 0);
    }

    /// forge-config: default.fuzz.seed = "0x12"
    /// forge-config: slow.fuzz.seed = "0x12"
    function invariant_endedJobsNeverChange() external view {
        vm.assertEq(handler.violations("ended"), 0);
    }

    /// forge-config: default.fuzz.seed = "0x13"
    /// forge-config: slow.fuzz.seed = "0x13"
    function invariant_jobHasAtMostOneProvider() external view {
        vm.assertEq(handler.violations("provider"), 0);
    }

    /// forge-config: default.fuzz.seed = "0x14"
    /// forge-config: slow.fuzz.seed = "0x14"
    function invariant_providerIffPlaced() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job,) = _job(i);
            if (job.status == JobStatus.Pending) vm.assertEq(job.providerAddr, address(0));
            else if (JobStatusLib.isHot(job.status)) vm.assertTrue(job.providerAddr != address(0));
        }
    }

    /// forge-config: default.fuzz.seed = "0x15"
    /// forge-config: slow.fuzz.seed = "0x15"
    function invariant_termsStayAsPlaced() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job, JobTerms memory terms) = _job(i);
            if (job.providerAddr == address(0)) continue;
            vm.assertEq(terms.rate, handler.rateAtPlacement(bytes32(i)));
            vm.assertEq(terms.feePercent, handler.feeAtPlacement(bytes32(i)));
        }
    }

    /// forge-config: default.fuzz.seed = "0x16"
    /// forge-config: slow.fuzz.seed = "0x16"
    function invariant_timesAreInOrder() external view {
        vm.assertEq(handler.violations("times"), 0);
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job, JobTerms memory terms) = _job(i);
            if (JobStatusLib.isHot(job.status) && job.status != JobStatus.Running) continue;
            vm.assertLe(terms.claimedAt, job.time.start);
            if (job.status == JobStatus.Running) vm.assertEq(job.time.end, 0);
            else vm.assertLe(job.time.start, job.time.end);
            vm.assertLe(job.time.end, vm.getBlockTimestamp());
        }
    }

    /// forge-config: default.fuzz.seed = "0x17"
    /// forge-config: slow.fuzz.seed = "0x17"
    function invariant_onlyJoinedProvidersClaim() external view {
        vm.assertEq(handler.violations("claim"), 0);
    }

    /// forge-config: default.fuzz.seed = "0x18"
    /// forge-config: slow.fuzz.seed = "0x18"
    function invariant_strangersDoNothing() external view {
        vm.assertEq(handler.violations("trespass"), 0);
    }

    /// forge-config: default.fuzz.seed = "0x19"
    /// forge-config: slow.fuzz.seed = "0x19"
    function invariant_nothingExpiresEarly() external view {
        vm.assertEq(handler.violations("expiry"), 0);
    }

    /// @dev The customer alone brings each open job to its end, with everybody else against it.
    /// forge-config: default.fuzz.seed = "0x1a"
    /// forge-config: slow.fuzz.seed = "0x1a"
    function invariant_everyJobCanEnd() external {
        uint256 state = vm.snapshotState();
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            bytes32 id = bytes32(i);
            (JobState memory job,) = _job(i);
            if (JobStatusLib.isCold(job.status)) continue;
            vm.prank(job.customerAddr);
            scheduler.cancelJob(id);
            if (job.status == JobStatus.Running) {
                vm.assertLt(scheduler.expiryOf(id), vm.getBlockTimestamp() + 31 days);
                vm.warp(vm.getBlockTimestamp() + 31 days);
                scheduler.expireJob(id);
            }
            vm.assertTrue(JobStatusLib.isCold(jobs.getState(id).status));
        }
        vm.assertEq(_sumOfEscrow(), 0);
        vm.revertToState(state);
    }

    // ---- Queues ---------------------------------------------------------------------------------

    /// forge-config: default.fuzz.seed = "0x1b"
    /// forge-config: slow.fuzz.seed = "0x1b"
    function invariant_placedJobsCanBeClaimed() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job,) = _job(i);
            if (job.status != JobStatus.MetaScheduled) continue;
            vm.assertTrue(queues.hasNextClaimableJob(job.providerAddr));
        }
    }

    /// @dev Claiming until nothing is left takes every placed job, whatever lies before it.
    /// forge-config: default.fuzz.seed = "0x1c"
    /// forge-config: slow.fuzz.seed = "0x1c"
    function invariant_queuesNeverBlock() external {
        uint256 state = vm.snapshotState();
        for (uint256 p = 0; p < 3; ++p) {
            address provider = handler.providersOf(p);
            if (!providers.isValidForScheduling(provider)) continue;
            while (queues.hasNextClaimableJob(provider)) {
                vm.prank(provider);
                scheduler.claimNextJob();
            }
            while (queues.hasCancellingJob(provider)) {
                vm.prank(provider);
                scheduler.claimNextCancellingJob();
            }
            while (queues.hasTopUpJob(provider)) {
                vm.prank(provider);
                scheduler.claimNextTopUpJob();
            }
            for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
                (JobState memory job,) = _job(i);
                if (job.providerAddr != provider) continue;
                vm.assertTrue(job.status != JobStatus.MetaScheduled);
                if (JobStatusLib.isTopable(job.status)) vm.assertEq(job.cost.pendingTopUp, 0);
            }
        }
        vm.revertToState(state);
    }

    /// forge-config: default.fuzz.seed = "0x1d"
    /// forge-config: slow.fuzz.seed = "0x1d"
    function invariant_unseenTopUpsAreAnnounced() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job,) = _job(i);
            if (JobStatusLib.isTopable(job.status) && job.cost.pendingTopUp != 0) {
                vm.assertTrue(queues.hasTopUpJob(job.providerAddr));
            }
        }
    }

    /// forge-config: default.fuzz.seed = "0x1e"
    /// forge-config: slow.fuzz.seed = "0x1e"
    function invariant_cancelsAreAnnouncedOnce() external view {
        vm.assertEq(handler.violations("notice"), 0);
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job,) = _job(i);
            bool waits = job.status == JobStatus.Running && job.hasCancelRequest;
            if (waits && !handler.noticed(bytes32(i))) {
                vm.assertTrue(queues.hasCancellingJob(job.providerAddr));
            }
        }
    }

    /// forge-config: default.fuzz.seed = "0x1f"
    /// forge-config: slow.fuzz.seed = "0x1f"
    function invariant_queuesAreBoundedByWhatHappened() external view {
        for (uint256 p = 0; p < 3; ++p) {
            address provider = handler.providersOf(p);
            vm.assertLe(queues.getCancellingJobQueueSize(provider), jobs.jobCount());
            vm.assertLe(queues.getTopUpJobQueueSize(provider), handler.topUps());
            vm.assertLe(
                queues.getClaimableJobQueueSize(provider), queues.jobCountByProvider(provider)
            );
        }
    }

    // ---- Lists ----------------------------------------------------------------------------------

    /// forge-config: default.fuzz.seed = "0x20"
    /// forge-config: slow.fuzz.seed = "0x20"
    function invariant_customersListsAreWhole() external view {
        uint256 sum = 0;
        for (uint256 c = 0; c < 3; ++c) {
            address customer = handler.customers(c);
            bytes32[] memory ids = jobs.getByCustomer(customer);
            sum += ids.length;
            vm.assertEq(jobs.jobCountByCustomer(customer), ids.length);
            for (uint256 i = 0; i < ids.length; ++i) {
                vm.assertEq(jobs.getState(ids[i]).customerAddr, customer);
                if (i > 0) vm.assertLt(uint256(ids[i - 1]), uint256(ids[i]));
            }
        }
        vm.assertEq(sum, jobs.jobCount());
        vm.assertEq(sum, handler.requested());
    }

    /// forge-config: default.fuzz.seed = "0x21"
    /// forge-config: slow.fuzz.seed = "0x21"
    function invariant_countsByStatusAddUp() external view {
        (uint256[9] memory counts, uint256 next) = jobs.countByStatus(0, type(uint256).max);
        uint256 sum = 0;
        for (uint256 status = 0; status < 9; ++status) {
            (bytes32[] memory ids,) = jobs.getByStatusPaged(JobStatus(status), 0, type(uint256).max);
            vm.assertEq(ids.length, counts[status]);
            sum += counts[status];
        }
        vm.assertEq(next, 0);
        vm.assertEq(sum, jobs.jobCount());
    }

    /// forge-config: default.fuzz.seed = "0x22"
    /// forge-config: slow.fuzz.seed = "0x22"
    function invariant_providersListsHaveTheirJobs() external view {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            (JobState memory job,) = _job(i);
            if (job.providerAddr == address(0)) continue;
            bytes32[] memory ids = queues.getByProviderPaged(job.providerAddr, 0, type(uint256).max);
            bool found = false;
            for (uint256 k = 0; k < ids.length; ++k) {
                found = found || ids[k] == bytes32(i);
            }
            vm.assertTrue(found);
        }
    }

    /// forge-config: default.fuzz.seed = "0x23"
    /// forge-config: slow.fuzz.seed = "0x23"
    function invariant_shutOutSinceIffShutOut() external view {
        for (uint256 p = 0; p < 3; ++p) {
            address provider = handler.providersOf(p);
            bool valid = providers.isValidForScheduling(provider);
            vm.assertTrue(valid == (providers.invalidSince(provider) == 0));
            vm.assertLe(providers.invalidSince(provider), vm.getBlockTimestamp());
        }
    }

    function _sumOfEscrow() private view returns (uint256 sum) {
        for (uint256 i = 1; i <= jobs.jobCount(); ++i) {
            sum += scheduler.getJobTerms(bytes32(i)).escrow;
        }
    }

    function _sumOfClaimable() private view returns (uint256 sum) {
        for (uint256 i = 0; i < 3; ++i) {
            sum += scheduler.claimable(handler.customers(i));
            sum += scheduler.claimable(handler.providersOf(i));
        }
    }

    function _job(uint256 i) private view returns (JobState memory job, JobTerms memory terms) {
        job = jobs.getState(bytes32(i));
        terms = scheduler.getJobTerms(bytes32(i));
    }
}
