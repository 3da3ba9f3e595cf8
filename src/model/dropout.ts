// Which random field each dropout of a forward draws from.

import type { Dropout } from '../engine/kernels.js';
import type { RandomKey } from '../util/philox.js';

/** What the dropout of one micro-batch is keyed by; the model adds the site. */
export type DropoutKey = Omit<RandomKey, 'site'>;

/** Hands out the dropouts of one forward in the order in which it meets them, each with a site of its own. */
export class DropoutSites {
  /** `site`: that of the first; `key` null: none drops anything. */
  constructor(
    private readonly key: DropoutKey | null,
    private readonly rate: number,
    private site: number,
  ) {}

  next(): Dropout {
    const site = this.site++;
    if (this.key === null || this.rate === 0) return null;
    const { seed, step, microBatch } = this.key;
    return { rate: this.rate, key: { seed, step, microBatch, site } };
  }
}
