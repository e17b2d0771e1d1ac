// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Label} from "../types/Job.sol";
import {Limits} from "./Limits.sol";
import {Packed} from "./Packed.sol";

/// @title Labels as bytes
/// @dev A label is its key and its value; a list begins with its length.
library LabelCodec {
    using Packed for Packed.Buffer;

    /// @notice Bytes that a label takes; reverts if its key or its value is too long.
    function sizeOf(Label memory label) internal pure returns (uint256) {
        Limits.checkText(label.key, Limits.KEY);
        Limits.checkText(label.value, Limits.VALUE);
        return Packed.sizeOf(label.key) + Packed.sizeOf(label.value);
    }

    /// @notice Bytes that a list of labels takes; reverts if it is too long.
    function sizeOf(Label[] memory labels) internal pure returns (uint256 size) {
        Limits.checkList(labels.length, Limits.LABELS);
        size = Packed.sizeOf(labels.length);
        for (uint256 i = 0; i < labels.length; ++i) {
            size += sizeOf(labels[i]);
        }
    }

    /// @notice Writes a label.
    function putLabel(Packed.Buffer memory buffer, Label memory label) internal pure {
        buffer.put(label.key);
        buffer.put(label.value);
    }

    /// @notice Writes a list of labels.
    function putLabels(Packed.Buffer memory buffer, Label[] memory labels) internal pure {
        buffer.putNumber(labels.length);
        for (uint256 i = 0; i < labels.length; ++i) {
            putLabel(buffer, labels[i]);
        }
    }

    /// @notice Reads a label.
    function takeLabel(Packed.Buffer memory buffer) internal pure returns (Label memory label) {
        label.key = buffer.takeString();
        label.value = buffer.takeString();
    }

    /// @notice Reads a list of labels.
    function takeLabels(Packed.Buffer memory buffer) internal pure returns (Label[] memory labels) {
        labels = new Label[](buffer.takeNumber());
        for (uint256 i = 0; i < labels.length; ++i) {
            labels[i] = takeLabel(buffer);
        }
    }
}
