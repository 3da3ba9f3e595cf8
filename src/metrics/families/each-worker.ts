// Each worker by name, as its heartbeats tell the coordinator, so that one scrape target is enough. The series of a
// worker end when it leaves. What all of them computed is counted here as well: it must not shrink when one leaves.

import { Counter, Gauge, type Registry } from 'prom-client';
import { workerPhases } from '../../protocol/messages.js';
import { directions, type TrainingEvent, type WorkerStatus } from '../events.js';

/** A label is repeated in every series of its worker. */
const MAX_LABEL_LENGTH = 128;

function createMetrics(registry: Registry) {
  const registers = [registry];
  return {
    all: new Counter({
      name: 'lockstep_micro_batches_computed_total',
      help: 'Micro-batches that workers computed gradients of, whether or not a step came to use them.',
      registers,
    }),
    info: new Gauge({
      name: 'lockstep_worker_info',
      help: 'Always 1 for a worker that is here; the label host joins it with the metrics of its machine.',
      labelNames: ['worker', 'host'] as const,
      registers,
    }),
    seconds: new Counter({
      name: 'lockstep_worker_phase_seconds_total',
      help: 'Time that the worker spent since it joined, by phase.',
      labelNames: ['worker', 'phase'] as const,
      registers,
    }),
    microBatches: new Counter({
      name: 'lockstep_worker_micro_batches_total',
      help: 'Micro-batches that the worker computed since it joined.',
      labelNames: ['worker'] as const,
      registers,
    }),
    bytes: new Counter({
      name: 'lockstep_worker_transfer_bytes_total',
      help: 'Payload bytes of gradients sent and parameters received by the worker since it joined.',
      labelNames: ['worker', 'direction'] as const,
      registers,
    }),
    memory: new Gauge({
      name: 'lockstep_worker_resident_memory_bytes',
      help: "Resident memory of the worker's process.",
      labelNames: ['worker'] as const,
      registers,
    }),
    silence: new Gauge({
      name: 'lockstep_worker_silence_seconds',
      help: 'Time since the worker was last heard of.',
      labelNames: ['worker'] as const,
      registers,
    }),
  };
}

type WorkerMetrics = ReturnType<typeof createMetrics>;

/** The series of one worker's session. */
class WorkerSeries {
  private last: WorkerStatus | undefined;

  constructor(
    private readonly metrics: WorkerMetrics,
    readonly worker: string,
    private readonly host: string,
  ) {
    metrics.info.set({ worker, host }, 1);
  }

  report(now: WorkerStatus): void {
    const { metrics, worker, last } = this;
    // A counter never shrinks, whatever a worker says.
    const since = (what: (status: WorkerStatus) => number): number =>
      Math.max(0, what(now) - (last ? what(last) : 0));
    for (const phase of workerPhases) {
      metrics.seconds.inc(
        { worker, phase },
        since(({ phaseSeconds }) => phaseSeconds[phase]),
      );
    }
    const computed = since(({ microBatches }) => microBatches);
    metrics.microBatches.inc({ worker }, computed);
    metrics.all.inc(computed);
    const sent = since(({ sentBytes }) => sentBytes);
    const received = since(({ receivedBytes }) => receivedBytes);
    metrics.bytes.inc({ worker, direction: 'gradients_out' }, sent);
    metrics.bytes.inc({ worker, direction: 'parameters_in' }, received);
    metrics.memory.set({ worker }, now.residentBytes);
    metrics.silence.set({ worker }, now.silentSeconds);
    this.last = now;
  }

  remove(): void {
    const { metrics, worker, host } = this;
    metrics.info.remove({ worker, host });
    for (const phase of workerPhases) metrics.seconds.remove({ worker, phase });
    for (const direction of directions) metrics.bytes.remove({ worker, direction });
    for (const metric of [metrics.microBatches, metrics.memory, metrics.silence]) metric.remove({ worker });
  }
}

export function eachWorker(registry: Registry): (event: TrainingEvent) => void {
  const metrics = createMetrics(registry);
  const series = new Map<string, WorkerSeries>(); // by session

  /** name@host; with a number where several who are here call themselves so. */
  function freeLabel({ name, host }: WorkerStatus): string {
    const taken = new Set([...series.values()].map(({ worker }) => worker));
    const wanted = `${name}@${host}`.slice(0, MAX_LABEL_LENGTH);
    let label = wanted;
    for (let n = 2; taken.has(label); n++) label = `${wanted}#${n}`;
    return label;
  }

  return (event) => {
    if (event.kind !== 'workers') return;
    const here = new Set(event.workers.map(({ session }) => session));
    for (const [session, worker] of series) {
      if (here.has(session)) continue;
      worker.remove();
      series.delete(session);
    }
    for (const status of event.workers) {
      const known = series.get(status.session);
      const worker = known ?? new WorkerSeries(metrics, freeLabel(status), status.host);
      if (!known) series.set(status.session, worker);
      worker.report(status);
    }
  };
}
