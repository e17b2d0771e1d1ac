// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title Payments that cannot stop their caller
library Payment {
    /// @notice Pays, and tells whether it worked. A token that reverts, answers `false` or answers
    /// nonsense did not pay; one that answers nothing did, as old tokens do.
    function tryTransfer(IERC20 token, address to, uint256 amount) internal returns (bool paid) {
        bytes memory data = abi.encodeCall(IERC20.transfer, (to, amount));
        assembly ("memory-safe") {
            // At most 32 bytes of the answer are copied, however long it is.
            mstore(0, 0)
            let ok := call(gas(), token, 0, add(data, 0x20), mload(data), 0, 0x20)
            switch returndatasize()
            case 0 { paid := and(ok, gt(extcodesize(token), 0)) }
            default { paid := and(and(ok, gt(returndatasize(), 31)), eq(mload(0), 1)) }
        }
    }
}
