// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Demand, JobDefinition} from "../types/Job.sol";
import {ProviderPrices} from "../types/Provider.sol";

/// @title What a job costs
/// @notice Credits in credit-wei, time in whole minutes, memory in MB. Nothing here reverts: a
/// result that does not fit is the largest that does.
library Pricing {
    /// @notice Credit-wei a minute of the job at these prices.
    function ratePerMinute(Demand memory job, ProviderPrices memory prices)
        internal
        pure
        returns (uint256)
    {
        // Both products are of two 64-bit numbers and cannot overflow.
        uint256 cpus = uint256(job.ntasks) * job.cpusPerTask;
        uint256 perCpu = saturatingAdd(
            prices.cpuPricePerMin, saturatingMul(job.memPerCpu, prices.memPricePerMin)
        );
        return
            saturatingAdd(
                saturatingMul(job.gpus, prices.gpuPricePerMin), saturatingMul(cpus, perCpu)
            );
    }

    /// @notice Credit-wei that `minutes_` cost at `rate`.
    function cost(uint256 rate, uint256 minutes_) internal pure returns (uint256) {
        return saturatingMul(rate, minutes_);
    }

    /// @notice Whole minutes that `amount` buys at `rate`; the most there is if the rate is zero.
    function duration(uint256 rate, uint256 amount) internal pure returns (uint64) {
        if (rate == 0) return type(uint64).max;
        uint256 bought = amount / rate;
        return bought > type(uint64).max ? type(uint64).max : uint64(bought);
    }

    /// @notice Whole minutes left of what `amount` buys at `rate`, `start` being the Unix second
    /// the job began to run. Zero once the job has overrun.
    function remaining(uint256 rate, uint256 amount, uint256 start) internal view returns (uint64) {
        uint64 bought = duration(rate, amount);
        uint256 elapsed = block.timestamp > start ? (block.timestamp - start) / 1 minutes : 0;
        return elapsed >= bought ? 0 : bought - uint64(elapsed);
    }

    /// @notice Whether the job asks for at least one task, hardware thread and MB.
    function isValid(JobDefinition memory definition) internal pure returns (bool) {
        return definition.ntasks > 0 && definition.cpusPerTask > 0 && definition.memPerCpu > 0;
    }

    /// @notice The sum, or the largest number if it does not fit.
    function saturatingAdd(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            uint256 sum = a + b;
            return sum < a ? type(uint256).max : sum;
        }
    }

    /// @notice The product, or the largest number if it does not fit.
    function saturatingMul(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            if (a == 0) return 0;
            uint256 product = a * b;
            return product / a == b ? product : type(uint256).max;
        }
    }
}
