// Everybody who listens to what happens in a run: Prometheus metrics, metrics.jsonl, events.jsonl, health, the live
// page, experiment trackers, and whoever started the coordinator; with the HTTP server that answers for them.
import type { Logger } from 'pino';
import { thisOwner } from '../checkpoint/owner.js';
import { roomIn } from '../checkpoint/room.js';
import { EventsLog } from '../live/events-log.js';
import { LiveFeed } from '../live/feed.js';
import { viewFromFiles } from '../live/history.js';
import { endNotice, writeNotice, type Notice } from '../live/notice.js';
import type { RunView } from '../live/run-view.js';
import { livePages } from '../live/site.js';
import { createCoordinatorMetrics } from '../metrics/coordinator-metrics.js';
import type { Ending, RunStarted, TrainingEvent } from '../metrics/events.js';
import { startHttp, type HttpServer } from '../metrics/http.js';
import { MetricsLog } from '../metrics/metrics-log.js';
import type { Metrics } from '../metrics/metrics.js';
import type { Tracker } from '../metrics/tracking/tracker.js';
import { messageOf } from '../util/errors.js';
import { counted } from '../util/format.js';
import { progressHealth } from './health.js';
import type { OpenRun } from './run.js';
import { Sampler, samplesTask } from './samples/sampler.js';
import { runStarted } from './run-started.js';
import { startTrackers } from './trackers.js';

export interface TelemetryOptions {
  readonly run: OpenRun;
  /** Where the live page, /metrics, /healthz and /readyz are served; null: nowhere. */
  readonly http: { readonly host: string; readonly port: number } | null;
  readonly log: Logger;
  /** Told of every event, and of the run as it stands then. */
  readonly onEvent: (event: TrainingEvent, view: RunView) => void;
}

export class Telemetry {
  private readonly metrics: Metrics;
  private readonly health = progressHealth();
  private readonly trackers: readonly Tracker[];
  private readonly feed: LiveFeed;
  private readonly sampler: Sampler;
  private http: HttpServer | undefined;
  private notice: Notice | undefined;
  private noted: Promise<void> = Promise.resolve();

  private constructor(
    private readonly options: TelemetryOptions,
    private readonly metricsLog: MetricsLog,
    private readonly eventsLog: EventsLog,
    private readonly started: RunStarted,
    history: RunView,
  ) {
    const { directory, term } = options.run;
    this.metrics = createCoordinatorMetrics({ run: started, measureRoom: () => roomIn(directory.storage) });
    this.feed = new LiveFeed(history, String(term.number));
    this.sampler = new Sampler(samplesTask(options.run), this.publish, (message) =>
      options.log.warn(message),
    );
    this.trackers = startTrackers(options.run, started, () => this.feed.view, options.log);
  }

  /** Begins to listen, and tells that the run has started. */
  static async open(options: TelemetryOptions): Promise<Telemetry> {
    const { directory, progress } = options.run;
    const metricsLog = await MetricsLog.open(directory.metricsLog, progress.version);
    if (progress.version === 0 && metricsLog.stepsCut > 0) {
      options.log.warn(
        `there is no checkpoint of the ${counted(metricsLog.stepsCut, 'step')} in ${directory.metricsLog}: beginning again from step 0`,
      );
    }
    const started = runStarted(options.run, metricsLog.stepsCut);
    const eventsLog = await EventsLog.open(directory.eventsLog, (message) => options.log.warn(message));
    const history = await viewFromFiles(directory);
    const telemetry = new Telemetry(options, metricsLog, eventsLog, started, history);
    try {
      await telemetry.start();
    } catch (error) {
      await telemetry.close();
      throw error;
    }
    return telemetry;
  }

  private async start(): Promise<void> {
    const { http, run } = this.options;
    const { registry } = this.metrics;
    const pages = livePages(this.feed);
    if (http) this.http = await startHttp({ ...http, registry, ...this.health, pages });
    this.publish(this.started);
    const { kind: _, ...facts } = this.started;
    this.notice = {
      run: { ...facts, startedAt: Date.now() / 1000 },
      http: this.httpUrl ?? null,
      owner: await thisOwner(),
      ended: null,
    };
    await this.note(() => writeNotice(run.directory.notice, this.notice!));
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
    const last = this.feed.view.events.at(-1);
    this.feed.on({ ...event, time: Date.now() / 1000 });
    const { view } = this.feed;
    const told = view.events.at(-1);
    if (told && told !== last) this.eventsLog.on(told);
    this.options.onEvent(event, view);
    this.sampler.on(event);
  };

  /** Tells everybody how the run ended. */
  end(reason: Ending, detail = ''): void {
    this.publish({ kind: 'runEnded', reason, detail });
    const { notice } = this;
    const ended = { reason, detail, time: Date.now() / 1000 };
    if (notice)
      this.noted = this.note(() => endNotice(this.options.run.directory.notice, { ...notice, ended }));
  }

  /** The notice is a help to people: a disk that refuses it stops nothing. */
  private async note(write: () => Promise<void>): Promise<void> {
    await write().catch((error: unknown) => this.options.log.warn(`coordinator.json: ${messageOf(error)}`));
  }

  /** Settles when what was published so far is recorded. */
  flush(): Promise<void> {
    return this.metricsLog.flush();
  }

  async close(): Promise<void> {
    await this.sampler.close();
    this.feed.close();
    await this.http?.close();
    await Promise.all(this.trackers.map((tracker) => tracker.close()));
    await this.noted;
    await this.eventsLog.close();
    await this.metricsLog.close();
  }
}
