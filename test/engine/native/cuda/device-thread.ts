// A thread that opens the device, takes most of its memory, and ends without giving it back.
import { parentPort } from 'node:worker_threads';
import { loadAddon } from '../../../../src/engine/native/load.js';

const { cuda } = loadAddon();
cuda.load(process.env['LOCKSTEP_CUDA_LIBRARY']!);
const { freeBytes } = cuda.open(0);
cuda.pin(new Uint8Array(new SharedArrayBuffer(4096)));
parentPort!.postMessage({ freeBytes, address: cuda.allocate(Math.floor(freeBytes * 0.7)) });
