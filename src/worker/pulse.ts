// A session's heartbeats: what each tells of the work since the session began, and how long its answer took. What
// the coordinator is told, the worker's own metrics are told as well.
import type { Direction, TrainingEvent } from '../metrics/events.js';
import {
  workerPhases,
  type PhaseSeconds,
  type WorkerPhase,
  type WorkerReport,
} from '../protocol/messages.js';

export class Pulse {
  private sequence = 0;
  /** By sequence number, of heartbeats without an answer: when they were sent. */
  private readonly sentAt = new Map<number, number>();
  private readonly bytes: Record<Direction, number> = { gradients_out: 0, parameters_in: 0 };
  private phases: PhaseSeconds = { compute: 0, push: 0, pull: 0, idle: 0 };

  constructor(private readonly publish: (event: TrainingEvent) => void) {}

  moved(direction: Direction, bytes: number): void {
    this.bytes[direction] += bytes;
    this.publish({ kind: 'bytes', direction, bytes });
  }

  /** The next heartbeat. `phases` and `microBatches`: since the session began; `now`: monotonic milliseconds. */
  beat(
    current: WorkerPhase,
    phases: PhaseSeconds,
    microBatches: number,
    now: number,
  ): { sequence: number; report: WorkerReport } {
    for (const phase of workerPhases) {
      this.publish({ kind: 'phase', phase, seconds: phases[phase] - this.phases[phase] });
    }
    this.phases = phases;
    const sequence = ++this.sequence;
    this.sentAt.set(sequence, now);
    return {
      sequence,
      report: {
        phase: current,
        microBatches,
        phases,
        sentBytes: this.bytes.gradients_out,
        receivedBytes: this.bytes.parameters_in,
        residentBytes: process.memoryUsage.rss(),
      },
    };
  }

  /** The heartbeat of that number was answered. */
  answered(sequence: number, now: number): void {
    const sentAt = this.sentAt.get(sequence);
    if (sentAt !== undefined) this.publish({ kind: 'heartbeat', seconds: (now - sentAt) / 1000 });
    this.sentAt.delete(sequence);
  }
}
