// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Vm} from "./Vm.sol";

/// @notice Deploys a contract of the grid: the artifact that dsq ships, or, where the environment
/// has FROM_SOURCE (coverage), what forge compiled of the sources, or, where it has ARTIFACTS
/// (mutations), one of that folder.
library Deploy {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function artifact(string memory name, bytes memory args) internal returns (address) {
        string memory path = vm.envOr("FROM_SOURCE", false)
            ? string.concat("src/", name, ".sol:", name)
            : string.concat(vm.envOr("ARTIFACTS", string("artifacts")), "/", name, ".json");
        return vm.deployCode(path, args);
    }
}
