// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {ListTooLong, TextTooLong} from "../Errors.sol";

/// @title How long texts and lists may be
library Limits {
    /// @notice Bytes of a label's key.
    uint256 internal constant KEY = 128;

    /// @notice Bytes of a label's value.
    uint256 internal constant VALUE = 512;

    /// @notice Labels of a job or a provider, and affinities of a job.
    uint256 internal constant LABELS = 128;

    /// @notice Bytes of a script's key.
    uint256 internal constant LOCATION = 256;

    /// @notice Bytes of the words that a job ends with.
    uint256 internal constant LAST_ERROR = 1024;

    /// @notice Nodes of a provider.
    uint256 internal constant NODES = 8192;

    /// @notice Reverts if a text is too long.
    function checkText(string memory text, uint256 limit) internal pure {
        if (bytes(text).length > limit) revert TextTooLong(bytes(text).length, limit);
    }

    /// @notice Reverts if a list is too long.
    function checkList(uint256 size, uint256 limit) internal pure {
        if (size > limit) revert ListTooLong(size, limit);
    }
}
