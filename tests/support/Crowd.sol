// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity ^0.8.19;

/// @notice A customer that does many things in one transaction, for tests with long histories.
contract Crowd {
    /// @notice Calls a contract again and again with the same data.
    function repeat(address _target, bytes calldata _data, uint256 _times) external {
        for (uint256 i = 0; i < _times; i++) {
            _call(_target, _data);
        }
    }

    /// @notice Requests jobs and cancels each at once.
    /// @param _data The request; it gives the number of the job.
    /// @param _selector The function that cancels a job by its number.
    function change(address _target, bytes calldata _data, bytes4 _selector, uint256 _times)
        external
    {
        for (uint256 i = 0; i < _times; i++) {
            bytes32 jobId = abi.decode(_call(_target, _data), (bytes32));
            _call(_target, abi.encodeWithSelector(_selector, jobId));
        }
    }

    function _call(address _target, bytes memory _data) private returns (bytes memory) {
        (bool isDone, bytes memory answer) = _target.call(_data);
        if (!isDone) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        return answer;
    }
}
