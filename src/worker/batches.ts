// The batches of the tasks at hand, built on a thread of their own: masking and padding never delay a heartbeat.
import { Piscina } from 'piscina';
import type { Batch } from '../model/batch.js';
import type { Job } from '../protocol/job.js';
import type { SampleIds } from '../protocol/samples.js';
import { ReductionTree } from '../protocol/tree.js';
import type { BatchTask } from './batch-task.js';
import type { Task } from './events.js';

export class Batches {
  private readonly thread = new Piscina<BatchTask, Batch>({
    filename: new URL('./batch-task.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
  });
  private readonly built = new Map<number, readonly Batch[]>();

  /** Resolves when the batches of a task's micro-batches are there. */
  async build(job: Job, task: Task, microBatches: readonly (readonly SampleIds[])[]): Promise<void> {
    const first =
      task.kind === 'node' ? new ReductionTree(job.microBatches).range(task.node).start : task.index;
    const step = task.kind === 'node' ? task.node.step : null;
    const batches = await Promise.all(
      microBatches.map((samples, i) => this.thread.run({ job, samples, step, microBatch: first + i })),
    );
    this.built.set(task.id, batches);
  }

  of(id: number): readonly Batch[] {
    return this.built.get(id)!;
  }

  drop(id: number): void {
    this.built.delete(id);
  }

  async close(): Promise<void> {
    await this.thread.destroy();
  }
}
