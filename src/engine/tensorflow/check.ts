// A process of its own that loads TensorFlow, multiplies, and says in one line of JSON what it found: loading takes
// most of a second, stays for the rest of a process, and can end one where library and processor do not fit.
import * as tf from '@tensorflow/tfjs';
import { assert, messageOf } from '../../util/errors.js';
import { loadTensorFlow } from './engine.js';
import type { Inspection } from './inspect.js';
import { installedPackage } from './package.js';

async function check(): Promise<Inspection> {
  try {
    const { fingerprint } = await loadTensorFlow(1);
    const product = Array.from(tf.matMul(tf.tensor2d([[1, 2]]), tf.tensor2d([[3], [4]])).dataSync());
    assert(product[0] === 11, `expected TensorFlow to find 1·3 + 2·4 = 11, got ${product.join()}`);
    const device = fingerprint.isa.startsWith('GPU') ? 'GPU' : 'CPU';
    return { info: { package: installedPackage()!, version: fingerprint.matmul, device }, fault: null };
  } catch (error) {
    return { info: null, fault: messageOf(error) };
  }
}

process.stdout.write(`\n${JSON.stringify(await check())}\n`);
