// Everybody who listens to what happens in a run: Prometheus metrics, metrics.jsonl, health, and whoever started
// the coordinator, and experiment trackers; with the HTTP server that answers for them.
import type { Logger } from 'pino';
import { roomAt } from '../checkpoint/room.js';
import { createCoordinatorMetrics } from '../metrics/coordinator-metrics.js';
import type { Ending, RunStarted, TrainingEvent } from '../metrics/events.js';
import { startHttp, type HttpServer } from '../metrics/http.js';
import { MetricsLog } from '../metrics/metrics-log.js';
import type { Metrics } from '../metrics/metrics.js';
import type { Tracker } from '../metrics/tracking/tracker.js';
import { progressHealth } from './health.js';
import type { OpenRun } from './run.js';
import { runStarted } from './run-started.js';
import { startTrackers } from './trackers.js';

export interface TelemetryOptions {
  readonly run: OpenRun;
  readonly log: Logger;
  /** Where /metrics, /healthz and /readyz are served; null: nowhere. */
  readonly http: { readonly host: string; readonly port: number } | null;
  readonly onEvent: (event: TrainingEvent) => void;
}

export class Telemetry {
  private readonly metrics: Metrics;
  private readonly health = progressHealth();
  private readonly trackers: readonly Tracker[];
  private http: HttpServer | undefined;

  private constructor(
    private readonly options: TelemetryOptions,
    private readonly metricsLog: MetricsLog,
    started: RunStarted,
  ) {
    const directory = options.run.directory.path;
    this.metrics = createCoordinatorMetrics({ run: started, measureRoom: () => roomAt(directory) });
    this.trackers = startTrackers(options.run, started, options.log);
  }

  static async open(options: TelemetryOptions): Promise<Telemetry> {
    const { directory, progress } = options.run;
    const metricsLog = await MetricsLog.open(directory.metricsLog, progress.version);
    const started = runStarted(options.run, metricsLog.stepsCut);
    const telemetry = new Telemetry(options, metricsLog, started);
    try {
      await telemetry.serve();
    } catch (error) {
      await telemetry.close();
      throw error;
    }
    telemetry.publish(started);
    return telemetry;
  }

  private async serve(): Promise<void> {
    const { http } = this.options;
    const { registry } = this.metrics;
    if (http) this.http = await startHttp({ ...http, registry, ...this.health });
  }

  /** Where the HTTP server answers, if there is one. */
  get httpUrl(): string | undefined {
    return this.http?.url;
  }

  readonly publish = (event: TrainingEvent): void => {
    this.metrics.on(event);
    this.metricsLog.on(event);
    this.health.on(event);
    for (const tracker of this.trackers) tracker.on(event);
    this.options.onEvent(event);
  };

  /** Tells everybody how the run ended. */
  end(reason: Ending, detail = ''): void {
    this.publish({ kind: 'runEnded', reason, detail });
  }

  /** Settles when what was published so far is recorded. */
  flush(): Promise<void> {
    return this.metricsLog.flush();
  }

  async close(): Promise<void> {
    await this.http?.close();
    await Promise.all(this.trackers.map((tracker) => tracker.close()));
    await this.metricsLog.close();
  }
}
