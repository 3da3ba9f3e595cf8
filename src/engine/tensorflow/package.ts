// The package that brings TensorFlow, which is optional: `lockstep setup tensorflow` installs and builds it.
import { createRequire } from 'node:module';
import { UserError } from '../../util/errors.js';

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

/** The same. Throws UserError TENSORFLOW_MISSING where none is installed. */
export function expectPackage(): TensorFlowPackage {
  const name = installedPackage();
  if (name === null)
    throw new UserError('TENSORFLOW_MISSING', `the tensorflow engine is not installed: ${HOW_TO}`);
  return name;
}
