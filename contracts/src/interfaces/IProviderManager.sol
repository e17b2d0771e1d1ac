// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Label} from "../types/Job.sol";
import {Provider, ProviderHardware, ProviderPrices} from "../types/Provider.sol";

/// @title The register of providers
/// @notice An account has two slots: a proposal, which it writes itself, and an active record,
/// which an operator makes of the proposal. Jobs go to active providers that are not banned. Views
/// return empty records for accounts that are unknown.
interface IProviderManager {
    /// @notice An account registered, for the first time or again.
    event ProviderWaitingForApproval(address addr);

    /// @notice A proposal became the active record.
    event ProviderApproved(address addr);

    /// @notice A provider was removed.
    event ProviderRemoved(address addr);

    /// @notice A provider was banned or unbanned.
    event ProviderBanChanged(address addr, bool status);

    /// @notice Writes the caller's proposal. May be called again and again; the active record stays
    /// valid meanwhile.
    /// @param _hardware One entry a node in each array; at least one thread and one MB in all.
    /// @param _prices Credit-wei a minute.
    /// @param _labels Facts that jobs can ask for.
    function register(
        ProviderHardware calldata _hardware,
        ProviderPrices calldata _prices,
        Label[] calldata _labels
    ) external;

    /// @notice Makes the proposal the active record. Operators only.
    function approve(address _providerAddr) external;

    /// @notice Makes the proposal the active record if it is the one that was looked at. Operators
    /// only; `ProposalChanged` if the provider has written another one since.
    /// @param _providerAddr The provider.
    /// @param _hash What `proposalHash` gave.
    function approveProposal(address _providerAddr, bytes32 _hash) external;

    /// @notice Deletes the active record; the proposal, if there is no active record. Operators
    /// only.
    function remove(address _providerAddr) external;

    /// @notice Shuts a provider out. Drops the proposal of one that is not active. Operators only.
    function ban(address _providerAddr) external;

    /// @notice Lets a banned provider in again. Operators only.
    function unban(address _providerAddr) external;

    /// @notice Counts a job that the provider started. For METASCHEDULER_CONTRACT_ROLE only.
    function incJobCount(address _providerAddr) external;

    /// @notice The active record.
    function getProvider(address _providerAddr) external view returns (Provider memory);

    /// @notice The proposal.
    function getWaitingForApprovalProvider(address _providerAddr)
        external
        view
        returns (Provider memory);

    /// @notice Hardware of the active record.
    function getProviderHardware(address _providerAddr)
        external
        view
        returns (ProviderHardware memory);

    /// @notice Prices of the active record.
    function getProviderPrices(address _providerAddr) external view returns (ProviderPrices memory);

    /// @notice Labels of the active record.
    function getLabels(address _providerAddr) external view returns (Label[] memory);

    /// @notice Jobs that the provider ever started.
    function getJobCount(address _providerAddr) external view returns (uint64);

    /// @notice Whether jobs may go to the provider: it is active and not banned.
    function isValidForScheduling(address _providerAddr) external view returns (bool);

    /// @notice Whether the provider has a proposal.
    function isWaitingForApproval(address _providerAddr) external view returns (bool);

    /// @notice Hash of all that a proposal says; zero if there is none.
    function proposalHash(address _providerAddr) external view returns (bytes32);

    /// @notice Unix seconds since when an active provider is removed or banned; zero if it is not.
    function invalidSince(address _providerAddr) external view returns (uint256);

    /// @notice A page of the active records.
    /// @param _cursor Where to begin; zero for the first.
    /// @param _howMany Most records to return.
    /// @return providers_ The records.
    /// @return newCursor Where the next page begins; zero at the end.
    function getProvidersPaged(uint256 _cursor, uint256 _howMany)
        external
        view
        returns (Provider[] memory providers_, uint256 newCursor);

    /// @notice How many providers are active.
    function providerCount() external view returns (uint256);

    /// @notice Whether the provider is banned.
    function isBanned(address _providerAddr) external view returns (bool);
}
