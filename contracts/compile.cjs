// Compiles src/ into artifacts/, one JSON file a contract.
//
//   node compile.cjs           writes the artifacts
//   node compile.cjs --check   exits with 1 if the artifacts differ from the sources
//   node compile.cjs A B       does so for the contracts A and B alone
//
// Packages (solc, OpenZeppelin) come from node_modules beside this file (`npm ci --ignore-scripts`),
// or from the folder that NODE_ROOT names. The output is the same on every machine.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const CONTRACTS = [
  'Constants',
  'Credit',
  'FaucetCredit',
  'JobRepository',
  'MetaScheduler',
  'ProviderJobQueues',
  'ProviderManager',
  'Tools',
];
const SETTINGS = {
  evmVersion: 'paris',
  metadata: { appendCBOR: false, bytecodeHash: 'none' },
  optimizer: { enabled: true, runs: 200 },
  viaIR: true,
};
const SIZE_LIMIT = 24576; // EIP-170
// A named output that has the name of a function is allowed: the published ABI has one (isBanned).
const ALLOWED_WARNINGS = new Set(['8760']);
const OUTPUTS = ['abi', 'evm.bytecode', 'evm.deployedBytecode', 'storageLayout'];

const sourceRoot = path.join(__dirname, 'src');
const artifactRoot = path.join(__dirname, 'artifacts');
const packageRoot = process.env.NODE_ROOT || path.join(__dirname, 'node_modules');

/** Ends the program with one sentence. */
function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

/** All Solidity files below a folder, by their path from `src`, sorted. */
function solidityFiles(folder, prefix = 'src') {
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const file = path.join(folder, entry.name);
      const name = `${prefix}/${entry.name}`;
      if (entry.isDirectory()) return solidityFiles(file, name);
      return entry.name.endsWith('.sol') ? [[name, { content: fs.readFileSync(file, 'utf8') }]] : [];
    });
}

/** Reads an import of a package. */
function readImport(name) {
  const file = path.join(packageRoot, name);
  return fs.existsSync(file) ? { contents: fs.readFileSync(file, 'utf8') } : { error: 'not found' };
}

/** Where each variable lies, without the compiler's internal numbers. */
function storageOf(layout) {
  return layout.storage.map(({ label, slot, offset, type }) => ({
    label,
    slot: Number(slot),
    offset,
    bytes: Number(layout.types[type].numberOfBytes),
    type: layout.types[type].label,
  }));
}

/** Whether a message of the compiler concerns our sources; those of packages do not stop us. */
function isOurs({ severity, errorCode, sourceLocation }) {
  if (severity === 'error') return true;
  const isPackage = sourceLocation && sourceLocation.file.startsWith('@');
  return severity === 'warning' && !isPackage && !ALLOWED_WARNINGS.has(errorCode);
}

/** The text of the artifact of each of these contracts, by name. */
function compile(names) {
  let solc;
  try {
    solc = require(path.join(packageRoot, 'solc'));
  } catch {
    fail("The compiler is not installed; run 'npm ci --ignore-scripts' in contracts/ or set NODE_ROOT.");
  }
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(solidityFiles(sourceRoot)),
    settings: {
      ...SETTINGS,
      outputSelection: Object.fromEntries(names.map((name) => [`src/${name}.sol`, { [name]: OUTPUTS }])),
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
  const problems = (output.errors || []).filter(isOurs);
  if (problems.length) fail(problems.map((problem) => problem.formattedMessage).join('\n'));
  return Object.fromEntries(
    names.map((name) => {
      const contract = output.contracts[`src/${name}.sol`][name];
      const size = contract.evm.deployedBytecode.object.length / 2;
      if (size > SIZE_LIMIT) fail(`${name} has ${size} bytes of code; ${SIZE_LIMIT} are allowed.`);
      const artifact = {
        contractName: name,
        compiler: { version: solc.version(), settings: SETTINGS },
        abi: contract.abi,
        bytecode: `0x${contract.evm.bytecode.object}`,
        deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
        linkReferences: contract.evm.bytecode.linkReferences,
        storage: storageOf(contract.storageLayout),
      };
      return [name, { size, text: `${JSON.stringify(artifact, null, 1)}\n` }];
    }),
  );
}

function main() {
  const check = process.argv.includes('--check');
  const named = process.argv.slice(2).filter((word) => !word.startsWith('--'));
  const unknown = named.filter((name) => !CONTRACTS.includes(name));
  if (unknown.length) fail(`There is no contract ${unknown.join(', ')}; there are ${CONTRACTS.join(', ')}.`);
  const artifacts = compile(named.length ? named : CONTRACTS);
  if (!check) fs.mkdirSync(artifactRoot, { recursive: true });
  const stale = [];
  for (const [name, { size, text }] of Object.entries(artifacts)) {
    const file = path.join(artifactRoot, `${name}.json`);
    if (check) {
      if (!fs.existsSync(file) || fs.readFileSync(file, 'utf8') !== text) stale.push(name);
    } else {
      fs.writeFileSync(file, text);
      console.log(`${name.padEnd(20)}${String(size).padStart(6)} bytes`);
    }
  }
  if (stale.length) {
    fail(`The artifacts of ${stale.join(', ')} differ from the sources; run 'make contracts'.`);
  }
}

main();
