// An experiment tracker: it is told what happens, keeps up in the background, and is never the reason that a run fails.

import type { Publish } from '../events.js';

export interface Tracker {
  /** Never waits and never throws. */
  readonly on: Publish;
  /** Passes on what it still holds, within bounds; never rejects. */
  close(): Promise<void>;
}
