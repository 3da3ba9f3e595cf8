// Tells Kubeflow Trainer how far the run is, so that `kubectl get trainjob` shows it: progress, time left and the newest
// numbers, posted to the server that its controller names in the environment. Never the reason that a run fails.
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { Tracker } from '../metrics/tracking/tracker.js';
import { messageOf } from '../util/errors.js';
import type { RunView } from './run-view.js';

const INTERVAL_MS = 5_000;
const TIMEOUT_MS = 5_000;

export interface KubeflowServer {
  readonly url: string;
  /** Holds the bearer token, which is renewed there from time to time. */
  readonly tokenFile: string | undefined;
  /** Certificates that the server's must lead to. */
  readonly caFile: string | undefined;
}

/** What Trainer's controller puts into the pods of a TrainJob; null elsewhere. */
export function kubeflowServer(env: NodeJS.ProcessEnv): KubeflowServer | null {
  const url = env['KUBEFLOW_TRAINER_SERVER_URL'];
  if (!url) return null;
  return {
    url,
    tokenFile: env['KUBEFLOW_TRAINER_SERVER_TOKEN'],
    caFile: env['KUBEFLOW_TRAINER_SERVER_CA_CERT'],
  };
}

/** `status.trainerStatus` of a TrainJob. */
export interface TrainerStatus {
  readonly progressPercentage: number; // whole
  readonly estimatedRemainingSeconds?: number; // whole
  readonly metrics: readonly { readonly name: string; readonly value: string }[];
  readonly lastUpdatedTime: string;
}

/** @param now seconds since 1970 */
export function trainerStatus(view: RunView, now: number): TrainerStatus {
  const { run, version, etaSeconds, ended, validationLoss } = view;
  const numbers = {
    'train/loss': view.lastLoss,
    'train/learning_rate': view.learningRate,
    'train/gradient_norm': view.gradientNorm,
    'speed/tokens_per_second': view.tokensPerSecond,
    'validation/loss': validationLoss?.loss,
    'validation/accuracy': validationLoss?.accuracy,
  };
  const left = ended?.reason === 'completed' ? 0 : etaSeconds;
  return {
    progressPercentage: run ? Math.min(100, Math.floor((100 * version) / run.steps)) : 0,
    ...(left !== null && { estimatedRemainingSeconds: Math.ceil(left) }),
    metrics: Object.entries(numbers).flatMap(([name, value]) =>
      typeof value === 'number' && Number.isFinite(value) ? { name, value: String(value) } : [],
    ),
    lastUpdatedTime: new Date(1000 * now).toISOString(),
  };
}

export interface KubeflowTrainerOptions extends KubeflowServer {
  readonly view: () => RunView;
  /** Told in one sentence when the server cannot be told, once until it can be again. */
  readonly onFailure: (message: string) => void;
  /** Between two posts; tests make it shorter. */
  readonly intervalMs?: number;
}

export class KubeflowTrainer implements Tracker {
  private hasNews = false;
  private failing = false;
  private readonly closing = new AbortController();
  private readonly working: Promise<void>;

  constructor(private readonly options: KubeflowTrainerOptions) {
    this.working = this.work();
  }

  readonly on: Tracker['on'] = ({ kind }) => {
    this.hasNews ||= ['runStarted', 'stepCommitted', 'stepSkipped', 'evaluated'].includes(kind);
  };

  /** Says how the run ended up, whenever the last post was. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.working;
    await this.post();
  }

  private async work(): Promise<void> {
    const { signal } = this.closing;
    while (!signal.aborted) {
      if (this.hasNews) await this.post();
      await delay(this.options.intervalMs ?? INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  private async post(): Promise<void> {
    this.hasNews = false;
    try {
      await send(this.options, { trainerStatus: trainerStatus(this.options.view(), Date.now() / 1000) });
      this.failing = false;
    } catch (error) {
      if (!this.failing)
        this.options.onFailure(`Kubeflow Trainer is not told of progress: ${messageOf(error)}`);
      this.failing = true;
    }
  }
}

/** Posts `body` as JSON; rejects unless the server takes it. Token and certificates are read anew: both are renewed. */
async function send({ url, tokenFile, caFile }: KubeflowServer, body: object): Promise<void> {
  const [token, ca] = await Promise.all([tokenFile, caFile].map(textOf));
  const authorization = token && { authorization: `Bearer ${token.trim()}` };
  const headers = { 'content-type': 'application/json', ...authorization };
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  await new Promise<void>((resolve, reject) => {
    const posting = request(url, { method: 'POST', headers, signal, agent: false, ...(ca && { ca }) });
    posting.once('error', reject);
    posting.once('response', (response) => {
      const { statusCode = 0 } = response;
      response.resume().once('error', reject);
      response.once('end', () =>
        statusCode >= 200 && statusCode < 300 ? resolve() : reject(new Error(`it answers ${statusCode}`)),
      );
    });
    posting.end(JSON.stringify(body));
  });
}

async function textOf(file: string | undefined): Promise<string | undefined> {
  return file === undefined ? undefined : readFile(file, 'utf8');
}
