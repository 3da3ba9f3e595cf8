// Which random field each dropout of a forward draws from.

import type { Dropout, DropoutKey } from '../engine/kernels.js';

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
    return this.key === null || this.rate === 0 ? null : { rate: this.rate, site, key: this.key };
  }
}
