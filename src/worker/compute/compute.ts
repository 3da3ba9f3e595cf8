// The compute thread as the I/O thread sees it: the memory they share, and the messages between them. A thread is
// started before its job is known, since loading what computes takes longest and may fail.
import { once } from 'node:events';
import { SHARE_ENV, Worker } from 'node:worker_threads';
import type { EngineChoice } from '../../engine/names.js';
import { sharedFloats } from '../../engine/native/shared-floats.js';
import type { Batch } from '../../model/batch.js';
import { parameterLayout, type ParameterLayout } from '../../model/parameters.js';
import type { Job } from '../../protocol/job.js';
import { assert, revived } from '../../util/errors.js';
import { GRADIENT_BUFFERS, PARAMETER_BUFFERS, type Task } from '../events.js';
import type { Fault } from './fault.js';
import { Control, type ComputeSetup, type FromCompute, type ToCompute } from './port.js';

export interface ComputeHandlers {
  message(message: FromCompute): void;
  failed(error: Error): void;
}

/**
 * Starts a thread for the next job, with its engine loaded; undefined when `signal` says stop. TensorFlow is told what it must
 * know by the process's environment, which the thread shares. Throws what loadEngine throws.
 */
export async function startComputeThread(
  { engine, device, tf32, threads }: EngineChoice,
  signal: AbortSignal,
): Promise<Worker | undefined> {
  const workerData: EngineChoice = { engine, device, tf32, threads };
  const thread = new Worker(new URL('./thread.js', import.meta.url), { env: SHARE_ENV, workerData });
  try {
    await once(thread, 'message', { signal }); // LOADED
    return thread;
  } catch (error) {
    await thread.terminate();
    if (signal.aborted) return undefined;
    throw revived(error as Error);
  }
}

export class Compute {
  readonly layout: ParameterLayout;
  readonly parameters: readonly Float32Array[];
  readonly gradients: readonly Float32Array[];
  private readonly control: Int32Array;

  constructor(
    private readonly thread: Worker,
    job: Job,
    fault: Fault | null,
    handlers: ComputeHandlers,
  ) {
    this.layout = parameterLayout(job.model);
    const setup: ComputeSetup = {
      job,
      fault,
      parameters: vectors(PARAMETER_BUFFERS, this.layout.total),
      gradients: vectors(GRADIENT_BUFFERS, this.layout.trainable),
      control: new SharedArrayBuffer(Control.length * 4),
    };
    this.parameters = setup.parameters;
    this.gradients = setup.gradients;
    this.control = new Int32Array(setup.control);
    this.post({ type: 'setup', setup });
    this.thread.on('message', (message: FromCompute) => handlers.message(message));
    this.thread.on('error', (error) => handlers.failed(revived(error)));
  }

  start(task: Task, batches: readonly Batch[], slot: number, buffer: number): void {
    const [batch] = batches;
    assert(batch, 'a task has at least one batch');
    const { id, version } = task;
    if (task.kind === 'evaluation') this.post({ type: 'evaluation', id, version, batch, slot });
    else this.post({ type: 'node', id, step: task.node.step, node: task.node, batches, slot, buffer });
  }

  /** Takes effect before the next micro-batch. */
  cancel(id: number): void {
    Atomics.store(this.control, Control.cancelledId, id);
  }

  /** Micro-batches finished so far. */
  get progress(): number {
    return Atomics.load(this.control, Control.progress);
  }

  async close(): Promise<void> {
    await this.thread.terminate();
  }

  private post(message: ToCompute): void {
    this.thread.postMessage(message);
  }
}

function vectors(count: number, elements: number): Float32Array[] {
  return Array.from({ length: count }, () => sharedFloats(elements));
}
