// The arithmetic of a reducer: the addon's.
import type { Addon } from '../../engine/native/addon.js';
import { CallQueue } from '../../engine/native/call-queue.js';

export interface Arithmetic extends Pick<Addon, 'add' | 'sumOfSquares' | 'unpackBfloat16' | 'adamW'> {
  /** Updates that adamW was called for are computed when this returns. Until then their arrays must not be changed. */
  settle(): void;
}

/**
 * AdamW's calls wait for each other: what JavaScript does between two of them, whose operands fill the caches, would read its code and
 * data from memory.
 */
export function queuedArithmetic(addon: Addon): Arithmetic {
  const queue = new CallQueue(addon);
  return {
    add: (...given) => addon.add(...given),
    sumOfSquares: (...given) => addon.sumOfSquares(...given),
    unpackBfloat16: (...given) => addon.unpackBfloat16(...given),
    adamW: (...given) => queue.kernels.adamW(...given),
    settle: () => queue.run(),
  };
}
