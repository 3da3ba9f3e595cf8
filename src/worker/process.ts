// A worker as a running process: one session after another, until the run is over or somebody stops it.
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { createWorkerMetrics } from '../metrics/worker-metrics.js';
import { startHttp } from '../metrics/http.js';
import type { EngineChoice } from '../engine/names.js';
import { assert, UserError } from '../util/errors.js';
import { startComputeThread } from './compute/compute.js';
import { hostFault } from './host.js';
import { runSession, type SessionEnd, type SessionOptions } from './session.js';

export interface WorkerOptions extends Omit<SessionOptions, 'publish' | 'takeThread'>, EngineChoice {
  /** Where /metrics, /healthz and /readyz are served; null: nowhere. */
  readonly http: { readonly host: string; readonly port: number } | null;
  /** How long to look for a coordinator before giving up, ms. */
  readonly patienceMs: number;
}

const FIRST_RETRY_MS = 100;
/** Short enough that a coordinator started again has its workers within seconds. */
const LAST_RETRY_MS = 1000;

/**
 * Works for the coordinator at `url`: whenever the session is lost it comes back, with backoff and jitter. Returns when the run is
 * completed, or when it or this worker was stopped.
 * @throws UserError NO_COORDINATOR when none answered for `patienceMs`; REFUSED when the coordinator does not want it; what
 * loading the engine throws, before a coordinator is looked for
 */
export async function runWorker(options: WorkerOptions): Promise<'completed' | 'stopped'> {
  const { log, signal, patienceMs, url, fault } = options;
  const metrics = createWorkerMetrics();
  let isWorking = false;
  const http = options.http
    ? await startHttp({
        ...options.http,
        registry: metrics.registry,
        alive: () => null,
        ready: () => (isWorking ? null : 'no coordinator has given work yet'),
      })
    : undefined;
  const publish: SessionOptions['publish'] = (event) => {
    if (event.kind === 'parametersPulled') isWorking = true;
    metrics.on(event);
  };
  if (fault) log.warn({ fault }, 'this worker makes faults on purpose');
  if (http) log.info({ metrics: `${http.url}/metrics` }, 'worker metrics');
  // A name may be asked for longer than whoever stops this waits.
  const stopped = new Promise<null>((resolve) => signal.addEventListener('abort', () => resolve(null)));
  /** The next session's compute thread. */
  let spare: Worker | undefined;
  const takeThread = (): Worker => {
    const thread = spare;
    assert(thread, 'a session takes one compute thread');
    spare = undefined;
    return thread;
  };
  try {
    let retryMs = FIRST_RETRY_MS;
    let lostAt = performance.now();
    let looking = false;
    while (!signal.aborted) {
      spare ??= await startComputeThread(options, signal); // what cannot compute here need not look for anybody
      const unknownHost = await Promise.race([hostFault(url), stopped]);
      if (signal.aborted) break;
      const end: SessionEnd =
        unknownHost === null
          ? await runSession({ ...options, publish, takeThread })
          : { reason: unknownHost, outcome: 'lost', wasWelcome: false };
      isWorking = false;
      if (end.outcome === 'refused')
        throw new UserError('REFUSED', `${url} refused this worker: ${end.reason}`);
      if (end.outcome === 'finished' || end.outcome === 'stopped') {
        log.info(`session ended: ${end.reason}`);
        return end.outcome === 'finished' ? 'completed' : 'stopped';
      }
      if (end.wasWelcome) log.warn(`session ended: ${end.reason}; looking for the coordinator again`);
      else if (!looking) log.warn(`no coordinator yet: ${end.reason}; looking for ${patienceMs / 1000} s`);
      looking = !end.wasWelcome;
      if (end.wasWelcome) {
        retryMs = FIRST_RETRY_MS;
        lostAt = performance.now();
      }
      if (performance.now() - lostAt > patienceMs) {
        throw new UserError(
          'NO_COORDINATOR',
          `no coordinator answered at ${url} for ${patienceMs / 1000} s: ${end.reason}`,
        );
      }
      // Jitter keeps a thousand workers from coming back in the same instant; it touches no bits.
      await delay(retryMs * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
      retryMs = Math.min(LAST_RETRY_MS, retryMs * 2);
    }
    return 'stopped';
  } finally {
    await spare?.terminate();
    await http?.close();
  }
}
