// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {DoubleLinkedList} from "./DoubleLinkedList.sol";
import {
    AlreadyDone,
    ArrayLengthMismatch,
    Banned,
    InvalidNodesCount,
    InvalidTotalCpus,
    InvalidTotalMem,
    NoProvider,
    ProposalChanged,
    WaitingApprovalOnly
} from "./Errors.sol";
import {TwoStepAdmin} from "./TwoStepAdmin.sol";
import {IProviderManager} from "./interfaces/IProviderManager.sol";
import {CodeStorage} from "./libraries/CodeStorage.sol";
import {Limits} from "./libraries/Limits.sol";
import {OfferCodec} from "./libraries/OfferCodec.sol";
import {Label} from "./types/Job.sol";
import {Provider, ProviderHardware, ProviderPrices} from "./types/Provider.sol";

/// @title The register of providers
/// @dev What a provider offers (hardware, prices, labels) is written once by each registration and
/// lives in code (see CodeStorage and OfferCodec); approving it moves a pointer.
contract ProviderManager is IProviderManager, DoubleLinkedList, TwoStepAdmin {
    /// @notice May approve, remove, ban and unban, like the administrator.
    bytes32 public constant METASCHEDULER_ROLE = keccak256("METASCHEDULER_ROLE");

    /// @notice May count jobs: the MetaScheduler contract.
    bytes32 public constant METASCHEDULER_CONTRACT_ROLE = keccak256("METASCHEDULER_CONTRACT_ROLE");

    /// @notice What a registration costs: nothing.
    uint256 public constant PROVIDER_REGISTRATION_TAX = 0;

    /// @inheritdoc IProviderManager
    mapping(address => uint256) public invalidSince;

    /// @param offer Where the encoded hardware, prices and labels are; zero in an empty record.
    /// @param isBanned Whether it is shut out.
    /// @param listId Id of the provider in the list; zero if it is not active.
    /// @param jobCount Jobs that it ever started; kept when the rest of the record is deleted.
    struct Record {
        address offer;
        bool isBanned;
        uint40 listId;
        uint48 jobCount;
    }

    mapping(address => Record) private _active;
    mapping(address => address) private _proposals;

    /// @dev An administrator, or METASCHEDULER_ROLE.
    modifier onlyOperator() {
        if (!hasRole(DEFAULT_ADMIN_ROLE, msg.sender)) _checkRole(METASCHEDULER_ROLE);
        _;
    }

    /// @inheritdoc IProviderManager
    function register(
        ProviderHardware calldata _hardware,
        ProviderPrices calldata _prices,
        Label[] calldata _labels
    ) external {
        if (_active[msg.sender].isBanned) revert Banned();
        _checkHardware(_hardware);
        _proposals[msg.sender] = CodeStorage.write(OfferCodec.encode(_hardware, _prices, _labels));
        emit ProviderWaitingForApproval(msg.sender);
    }

    /// @inheritdoc IProviderManager
    function approve(address _providerAddr) external onlyOperator {
        _approve(_providerAddr);
    }

    /// @inheritdoc IProviderManager
    function approveProposal(address _providerAddr, bytes32 _hash) external onlyOperator {
        bytes32 current = proposalHash(_providerAddr);
        if (current != _hash) revert ProposalChanged(current, _hash);
        _approve(_providerAddr);
    }

    /// @inheritdoc IProviderManager
    function remove(address _providerAddr) external onlyOperator {
        Record storage record = _active[_providerAddr];
        if (record.offer != address(0)) {
            _unlink(record.listId);
            record.offer = address(0);
            record.isBanned = false;
            record.listId = 0;
            _invalidate(_providerAddr);
        } else if (_proposals[_providerAddr] != address(0)) {
            delete _proposals[_providerAddr];
        } else {
            revert NoProvider();
        }
        emit ProviderRemoved(_providerAddr);
    }

    /// @inheritdoc IProviderManager
    function ban(address _providerAddr) external onlyOperator {
        Record storage record = _active[_providerAddr];
        if (record.isBanned) revert AlreadyDone();
        if (record.offer == address(0)) {
            if (_proposals[_providerAddr] == address(0)) revert NoProvider();
            delete _proposals[_providerAddr];
        } else {
            _invalidate(_providerAddr);
        }
        record.isBanned = true;
        emit ProviderBanChanged(_providerAddr, true);
    }

    /// @inheritdoc IProviderManager
    function unban(address _providerAddr) external onlyOperator {
        Record storage record = _active[_providerAddr];
        if (!record.isBanned) {
            bool known = record.offer != address(0) || _proposals[_providerAddr] != address(0);
            if (known) revert AlreadyDone();
            revert NoProvider();
        }
        record.isBanned = false;
        if (record.offer != address(0)) delete invalidSince[_providerAddr];
        emit ProviderBanChanged(_providerAddr, false);
    }

    /// @inheritdoc IProviderManager
    function incJobCount(address _providerAddr) external onlyRole(METASCHEDULER_CONTRACT_ROLE) {
        ++_active[_providerAddr].jobCount;
    }

    /// @inheritdoc IProviderManager
    function getProvider(address _providerAddr) external view returns (Provider memory) {
        Record storage record = _active[_providerAddr];
        return _provider(_providerAddr, record.offer, record.isBanned);
    }

    /// @inheritdoc IProviderManager
    function getWaitingForApprovalProvider(address _providerAddr)
        external
        view
        returns (Provider memory)
    {
        return _provider(_providerAddr, _proposals[_providerAddr], false);
    }

    /// @inheritdoc IProviderManager
    function getProviderHardware(address _providerAddr)
        external
        view
        returns (ProviderHardware memory)
    {
        (ProviderHardware memory hardware,,) = _decode(_active[_providerAddr].offer);
        return hardware;
    }

    /// @inheritdoc IProviderManager
    function getProviderPrices(address _providerAddr)
        external
        view
        returns (ProviderPrices memory)
    {
        address offer = _active[_providerAddr].offer;
        return OfferCodec.decodePrices(CodeStorage.readFirst(offer, OfferCodec.PRICES_SIZE));
    }

    /// @inheritdoc IProviderManager
    function getLabels(address _providerAddr) external view returns (Label[] memory) {
        (,, Label[] memory labels) = _decode(_active[_providerAddr].offer);
        return labels;
    }

    /// @inheritdoc IProviderManager
    function getJobCount(address _providerAddr) external view returns (uint64) {
        return _active[_providerAddr].jobCount;
    }

    /// @notice Jobs that the provider ever started.
    function jobCountByProvider(address _providerAddr) external view returns (uint64) {
        return _active[_providerAddr].jobCount;
    }

    /// @inheritdoc IProviderManager
    function isValidForScheduling(address _providerAddr) external view returns (bool) {
        Record storage record = _active[_providerAddr];
        return record.offer != address(0) && !record.isBanned;
    }

    /// @inheritdoc IProviderManager
    function isWaitingForApproval(address _providerAddr) external view returns (bool) {
        return _proposals[_providerAddr] != address(0);
    }

    /// @inheritdoc IProviderManager
    function getProvidersPaged(uint256 _cursor, uint256 _howMany)
        external
        view
        returns (Provider[] memory providers_, uint256 newCursor)
    {
        bytes32[] memory accounts;
        (accounts,, newCursor) = fetchPage(_cursor, _howMany);
        providers_ = new Provider[](accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            address account = address(uint160(uint256(accounts[i])));
            Record storage record = _active[account];
            providers_[i] = _provider(account, record.offer, record.isBanned);
        }
    }

    /// @inheritdoc IProviderManager
    function providerCount() external view returns (uint256) {
        return elementCount;
    }

    /// @inheritdoc IProviderManager
    function isBanned(address _providerAddr) external view returns (bool) {
        return _active[_providerAddr].isBanned;
    }

    /// @notice The active record without its labels.
    function providers(address _providerAddr)
        external
        view
        returns (
            address addr,
            ProviderHardware memory providerHardware,
            ProviderPrices memory providerPrices,
            bool isBanned
        )
    {
        Record storage record = _active[_providerAddr];
        (providerHardware, providerPrices,) = _decode(record.offer);
        return (
            record.offer == address(0) ? address(0) : _providerAddr,
            providerHardware,
            providerPrices,
            record.isBanned
        );
    }

    /// @notice The proposal without its labels.
    function waitingApprovalProviders(address _providerAddr)
        external
        view
        returns (
            address addr,
            ProviderHardware memory providerHardware,
            ProviderPrices memory providerPrices,
            bool isBanned
        )
    {
        address offer = _proposals[_providerAddr];
        (providerHardware, providerPrices,) = _decode(offer);
        return
            (
                offer == address(0) ? address(0) : _providerAddr,
                providerHardware,
                providerPrices,
                false
            );
    }

    /// @inheritdoc IProviderManager
    function proposalHash(address _providerAddr) public view returns (bytes32) {
        address offer = _proposals[_providerAddr];
        return offer == address(0) ? bytes32(0) : offer.codehash;
    }

    function _approve(address account) private {
        address offer = _proposals[account];
        if (offer == address(0)) revert WaitingApprovalOnly();
        Record storage record = _active[account];
        if (record.isBanned) revert Banned();
        delete _proposals[account];
        delete invalidSince[account];
        record.offer = offer;
        if (record.listId == 0) record.listId = uint40(_append(_toData(account)));
        emit ProviderApproved(account);
    }

    /// @dev A provider that is banned and then removed is shut out since the ban.
    function _invalidate(address account) private {
        if (invalidSince[account] == 0) invalidSince[account] = block.timestamp;
    }

    function _checkHardware(ProviderHardware calldata hardware) private pure {
        uint256 nodes = hardware.nodes;
        if (nodes == 0) revert InvalidNodesCount();
        if (
            hardware.gpusPerNode.length != nodes || hardware.cpusPerNode.length != nodes
                || hardware.memPerNode.length != nodes
        ) revert ArrayLengthMismatch();
        Limits.checkList(nodes, Limits.NODES);
        if (_sum(hardware.cpusPerNode) == 0) revert InvalidTotalCpus();
        if (_sum(hardware.memPerNode) == 0) revert InvalidTotalMem();
    }

    function _sum(uint64[] calldata values) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < values.length; ++i) {
            sum += values[i];
        }
    }

    function _provider(address account, address offer, bool banned)
        private
        view
        returns (Provider memory provider)
    {
        if (offer != address(0)) provider.addr = account;
        provider.isBanned = banned;
        (provider.providerHardware, provider.providerPrices, provider.labels) = _decode(offer);
    }

    function _decode(address offer)
        private
        view
        returns (
            ProviderHardware memory hardware,
            ProviderPrices memory prices,
            Label[] memory labels
        )
    {
        if (offer != address(0)) {
            return OfferCodec.decode(CodeStorage.read(offer));
        }
    }

    function _toData(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }
}
