// Runs many seeds on all cores.
import { Piscina } from 'piscina';
import { addCounts, type Report, type SeedRange } from './seeds.js';

const SEEDS_PER_TASK = 50;

export interface SimulateOptions extends SeedRange {
  readonly threads: number;
  /** Told how many seeds are done. */
  readonly onProgress?: (seeds: number) => void;
}

/** Stops at a failure; of several that are found in the same moment the lowest seed is reported. */
export async function simulate({ from, count, threads, onProgress }: SimulateOptions): Promise<Report> {
  const pool = new Piscina<SeedRange, Report>({
    filename: new URL('./seeds.js', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
  });
  const counts: Record<string, number> = {};
  let [seeds, events] = [0, 0];
  const failures: NonNullable<Report['failure']>[] = [];
  let next = from;
  const work = async (): Promise<void> => {
    while (next < from + count && failures.length === 0) {
      const range = { from: next, count: Math.min(SEEDS_PER_TASK, from + count - next) };
      next += range.count;
      const report = await pool.run(range);
      seeds += report.seeds;
      events += report.events;
      addCounts(counts, report.counts);
      if (report.failure) failures.push(report.failure);
      onProgress?.(seeds);
    }
  };
  try {
    await Promise.all(Array.from({ length: threads }, work));
    failures.sort((a, b) => a.seed - b.seed);
    return { seeds, events, counts, failure: failures[0] ?? null };
  } finally {
    await pool.destroy();
  }
}

/** How to see a seed again. */
export function replayCommand(seed: number): string {
  return `npm run simulate -- --seed ${seed} --trace`;
}
