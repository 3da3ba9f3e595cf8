// Runs seeds and tells what they went through: the work of one thread.
import { messageOf } from '../../src/util/errors.js';
import { Cluster } from './cluster.js';
import { randomScenario } from './scenario.js';

export interface SeedRange {
  readonly from: number;
  readonly count: number;
}

export interface Report {
  readonly seeds: number;
  readonly events: number;
  readonly counts: Readonly<Record<string, number>>;
  /** The first seed in which something did not hold. */
  readonly failure: { readonly seed: number; readonly message: string } | null;
}

/** Runs seeds one after another, until one fails. */
export default async function runSeeds({ from, count }: SeedRange): Promise<Report> {
  const counts: Record<string, number> = {};
  let events = 0;
  for (let seed = from; seed < from + count; seed++) {
    const cluster = new Cluster(randomScenario(seed));
    try {
      await cluster.run();
    } catch (error) {
      return { seeds: seed - from, events, counts, failure: { seed, message: messageOf(error) } };
    }
    events += cluster.events;
    addCounts(counts, cluster.counts);
  }
  return { seeds: count, events, counts, failure: null };
}

export function addCounts(sum: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [what, count] of Object.entries(more)) sum[what] = (sum[what] ?? 0) + count;
}
