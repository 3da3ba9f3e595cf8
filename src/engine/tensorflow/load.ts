// Finds and loads tfjs-node, which brings TensorFlow's C library and registers the backend `tensorflow` with tfjs.
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs';
import { messageOf, UserError } from '../../util/errors.js';
import type { NodeBackend } from './backend.js';
import { prepareEnvironment } from './environment.js';
import { expectPackage, HOW_TO } from './package.js';

export const BACKEND_NAME = 'tensorflow';

const require = createRequire(import.meta.url);

/**
 * TensorFlow with this number of threads; the first call of a process decides it. Makes its backend tfjs's own.
 * Throws UserError TENSORFLOW_MISSING where the package is not installed or does not load.
 */
export function loadBackend(threads: number): NodeBackend {
  const name = expectPackage();
  prepareEnvironment(threads);
  restoreUtil();
  try {
    require(name);
  } catch (error) {
    const reason = messageOf(error)
      .split('\n')[0]!
      .replace(/[. ]+$/, '');
    throw new UserError('TENSORFLOW_MISSING', `${name} does not load (${reason}): ${HOW_TO}`, {
      cause: error,
    });
  }
  const backend = tf.engine().findBackend(BACKEND_NAME) as unknown as NodeBackend | null;
  if (backend === null) {
    throw new UserError('TENSORFLOW_MISSING', `${name} uses another copy of @tensorflow/tfjs: ${HOW_TO}`);
  }
  return backend;
}

/** tfjs-node calls two functions of node:util that Node 23 took away. */
function restoreUtil(): void {
  const util = require('node:util') as Record<string, unknown>;
  util['isNullOrUndefined'] ??= (value: unknown) => value === null || value === undefined;
  util['isArray'] ??= Array.isArray;
}
