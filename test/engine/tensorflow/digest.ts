// What a process of engine.test.ts runs: the hash of a gradient with dropout.
import { loadEngine } from '../../../src/engine/load.js';
import { networkDigest } from '../worker-thread.js';

await loadEngine('tensorflow', { threads: 2 });
console.log(networkDigest());
