// Tells an MLflow tracking server of a run, by its REST API (version 2.0). Numbers wait in a bounded queue and go out in
// batches; a server that is away is tried again with backoff. Nothing here is ever the reason that a run fails.

import { setTimeout as delay } from 'node:timers/promises';
import { fetchMessageOf } from '../../util/errors.js';
import type { Ending, RunStarted } from '../events.js';
import { MlflowClient, MlflowRefusal, type MlflowMetric } from './mlflow-client.js';
import { scalarsOf } from './scalars.js';
import type { Tracker } from './tracker.js';

/** What MLflow takes at once. */
const MAX_METRICS = 1000;
const MAX_QUEUED = 20_000;
const INTERVAL_MS = 2_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
const DRAIN_MS = 5_000;

export interface MlflowOptions {
  readonly client: MlflowClient;
  readonly experiment: string;
  readonly run: RunStarted;
  /** Keys of the config and their values. */
  readonly parameters: Readonly<Record<string, string>>;
  /** Told in one sentence when the server cannot be reached or refuses something. */
  readonly onFailure: (message: string) => void;
  /** Tests make it shorter. */
  readonly timing?: { readonly intervalMs: number; readonly firstRetryMs: number };
}

const STATUS: Readonly<Record<Ending, string>> = {
  completed: 'FINISHED',
  stopped: 'KILLED',
  failed: 'FAILED',
};

export class Mlflow implements Tracker {
  private queue: MlflowMetric[] = [];
  private dropped = 0;
  private ending: Ending | undefined;
  private readonly closing = new AbortController();
  /** After it, no further try is made. */
  private readonly givingUp = new AbortController();
  private readonly working: Promise<void>;
  private runId: string | undefined;
  private readonly timing: { readonly intervalMs: number; readonly firstRetryMs: number };

  constructor(private readonly options: MlflowOptions) {
    this.timing = options.timing ?? { intervalMs: INTERVAL_MS, firstRetryMs: FIRST_RETRY_MS };
    this.working = this.work();
  }

  readonly on: Tracker['on'] = (event) => {
    if (event.kind === 'runEnded') this.ending = event.reason;
    const scalars = scalarsOf(event);
    if (!scalars) return;
    const timestamp = Date.now();
    for (const [key, value] of Object.entries(scalars.values)) {
      this.queue.push({ key, value, timestamp, step: scalars.step });
    }
    const excess = this.queue.length - MAX_QUEUED;
    if (excess <= 0) return;
    this.queue.splice(0, excess);
    if (this.dropped === 0) this.options.onFailure('MLflow does not keep up: its oldest numbers are dropped');
    this.dropped += excess;
  };

  async close(): Promise<void> {
    this.closing.abort();
    const timer = setTimeout(() => this.givingUp.abort(), DRAIN_MS);
    await this.working;
    clearTimeout(timer);
  }

  private async work(): Promise<void> {
    const { client, onFailure } = this.options;
    try {
      this.runId = await this.persist(() => this.begin());
      do {
        await this.pause(this.timing.intervalMs);
        await this.sendAll(this.runId);
      } while (!this.closing.signal.aborted);
      const status = STATUS[this.ending ?? 'failed'];
      await this.persist(() => client.updateRun(this.runId!, status, Date.now(), this.givingUp.signal));
    } catch (error) {
      onFailure(`MLflow is told no more of this run: ${fetchMessageOf(error)}`);
      this.queue = [];
    }
  }

  /** The MLflow run of this run: the one that an earlier coordinator made, or a new one. */
  private async begin(): Promise<string> {
    const { client, experiment, run, parameters } = this.options;
    const { signal } = this.givingUp;
    const experimentId = await client.experimentId(experiment, signal);
    const known = await client.findRun(experimentId, run.runId, signal);
    const id = known ?? (await client.createRun(experimentId, run.run, run.runId, Date.now(), signal));
    if (known === undefined) await client.logParameters(id, parameters, signal);
    else await client.updateRun(id, 'RUNNING', undefined, signal);
    return id;
  }

  private async sendAll(runId: string): Promise<void> {
    while (this.queue.length > 0) {
      const batch = this.queue.slice(0, MAX_METRICS);
      try {
        await this.persist(() => this.options.client.logMetrics(runId, batch, this.givingUp.signal));
      } catch (error) {
        if (!(error instanceof MlflowRefusal)) throw error;
        this.options.onFailure(`MLflow refused ${batch.length} numbers: ${error.message}`);
      }
      const sent = new Set(batch);
      this.queue = this.queue.filter((metric) => !sent.has(metric));
    }
  }

  /** Tries until it works, the server says that it never will, or it is time to give up. */
  private async persist<T>(attempt: () => Promise<T>): Promise<T> {
    for (let retryMs = this.timing.firstRetryMs; ; retryMs = Math.min(LAST_RETRY_MS, 2 * retryMs)) {
      try {
        return await attempt();
      } catch (error) {
        if (error instanceof MlflowRefusal || this.closing.signal.aborted) throw error;
        if (retryMs === this.timing.firstRetryMs)
          this.options.onFailure(`MLflow does not answer, trying again: ${fetchMessageOf(error)}`);
        await this.pause(retryMs);
      }
    }
  }

  /** Ends early when the run does. */
  private async pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.closing.signal }).catch(() => undefined);
  }
}
