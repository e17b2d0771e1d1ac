// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Terms} from "../types/Terms.sol";

/// @title The parameters of a placement as one number
library TermsLib {
    /// @notice The parameters as a number; never zero, since the slice and the limits are not.
    function pack(Terms memory terms) internal pure returns (uint72) {
        return uint72(terms.feePercent) << 64 | uint72(terms.topUpSlice) << 48
            | uint72(terms.claimTimeout) << 32 | uint72(terms.cancelTimeout) << 16
            | terms.providerTimeout;
    }

    /// @notice The parameters that `pack` made this number of.
    function unpack(uint72 packed) internal pure returns (Terms memory) {
        return Terms({
            feePercent: uint8(packed >> 64),
            topUpSlice: uint16(packed >> 48),
            claimTimeout: uint16(packed >> 32),
            cancelTimeout: uint16(packed >> 16),
            providerTimeout: uint16(packed)
        });
    }
}
