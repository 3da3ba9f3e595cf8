// Finds and loads tfjs-node, which brings TensorFlow's C library and registers the backend `tensorflow` with tfjs.
// It is an optional package: `lockstep setup tensorflow` installs and builds it.

import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs';
import { messageOf, UserError } from '../../util/errors.js';
import type { NodeBackend } from './backend.js';
import { prepareEnvironment } from './environment.js';

export const BACKEND_NAME = 'tensorflow';

/** In the order of preference: the first that is installed is used. */
const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;
export type TensorFlowPackage = (typeof PACKAGES)[number];

export const HOW_TO = 'run `npx lockstep setup tensorflow` (with --gpu for NVIDIA GPUs)';
const require = createRequire(import.meta.url);

/** The folder of the package, or null where it is not installed. */
export function packageFolder(name: TensorFlowPackage): string | null {
  try {
    return require.resolve(`${name}/package.json`).replace(/package\.json$/, '');
  } catch {
    return null;
  }
}

/** The installed package that would be loaded. */
export function installedPackage(): TensorFlowPackage | null {
  return PACKAGES.find((name) => packageFolder(name) !== null) ?? null;
}

/**
 * TensorFlow with this number of threads; the first call of a process decides it. Makes its backend tfjs's own.
 * Throws UserError TENSORFLOW_MISSING where the package is not installed or does not load.
 */
export function loadBackend(threads: number): NodeBackend {
  const name = installedPackage();
  if (name === null) {
    throw new UserError('TENSORFLOW_MISSING', `the tensorflow engine is not installed: ${HOW_TO}`);
  }
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
