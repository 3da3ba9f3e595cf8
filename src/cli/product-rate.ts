// How fast the addon multiplies matrices here: the number that a training step's speed follows.

import { type Addon, PrecisionCode } from '../engine/native/addon.js';
import type { Precision } from '../engine/names.js';

const WIDTH = 512;
const ROWS_PER_THREAD = 1024; // several of the addon's panels, so that every thread has some
const MEASURED_MS = 120;

export interface ProductRate {
  readonly precision: Precision;
  readonly threads: number;
  /** Of the fastest of a few dozen products: what the machine can do, not what it does beside other programs. */
  readonly flopsPerSecond: number;
}

/** Leaves the addon's pool with `threads` threads. */
export function measureProductRate(addon: Addon, precision: Precision, threads: number): ProductRate {
  const rows = ROWS_PER_THREAD * threads;
  const x = new Float32Array(rows * WIDTH).fill(0.5);
  const w = new Float32Array(WIDTH * WIDTH).fill(0.5);
  const y = new Float32Array(rows * WIDTH);
  const multiply = (): number => {
    const startedAt = performance.now();
    addon.linear(x, w, null, y, null, rows, WIDTH, WIDTH, 0, PrecisionCode[precision]);
    return performance.now() - startedAt;
  };
  addon.setThreads(threads);
  multiply(); // starts threads
  let fastestMs = Infinity;
  for (let spentMs = 0; spentMs < MEASURED_MS;) {
    const ms = multiply();
    spentMs += ms;
    fastestMs = Math.min(fastestMs, ms);
  }
  return { precision, threads, flopsPerSecond: (2 * rows * WIDTH * WIDTH) / (fastestMs / 1000) };
}
