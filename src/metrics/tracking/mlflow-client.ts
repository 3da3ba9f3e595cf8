// The few calls of MLflow's REST API that a run needs. What the server can never accept is an MlflowRefusal; all else
// that goes wrong may go right later.

const TIMEOUT_MS = 10_000;
/** MLflow's limits for one call and one value. */
const MAX_PARAMETERS = 100;
const MAX_PARAMETER_LENGTH = 500;
const RUN_TAG = 'lockstep.run_id';

export interface MlflowMetric {
  readonly key: string;
  readonly value: number;
  readonly timestamp: number; // ms since 1970
  readonly step: number;
}

/** Of the environment, where MLflow's own client finds them, too. */
export interface MlflowCredentials {
  readonly token?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

export class MlflowRefusal extends Error {
  override readonly name = 'MlflowRefusal';

  constructor(
    message: string,
    /** Such as RESOURCE_DOES_NOT_EXIST. */
    readonly code: string,
  ) {
    super(message);
  }
}

export class MlflowClient {
  private readonly headers: Record<string, string>;

  /** @param url the tracking server's, such as http://localhost:5000 */
  constructor(
    private readonly url: string,
    { token, username, password }: MlflowCredentials,
  ) {
    const basic = Buffer.from(`${username}:${password ?? ''}`).toString('base64');
    const authorization = token ? `Bearer ${token}` : username ? `Basic ${basic}` : undefined;
    this.headers = { 'content-type': 'application/json', ...(authorization && { authorization }) };
  }

  /** Of the experiment of that name, which is made when there is none. */
  async experimentId(name: string, signal: AbortSignal): Promise<string> {
    try {
      const query = `experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`;
      const { experiment } = await this.call<{ experiment: { experiment_id: string } }>('GET', query, signal);
      return experiment.experiment_id;
    } catch (error) {
      if (!(error instanceof MlflowRefusal) || error.code !== 'RESOURCE_DOES_NOT_EXIST') throw error;
    }
    const made = await this.call<{ experiment_id: string }>('POST', 'experiments/create', signal, { name });
    return made.experiment_id;
  }

  /** The MLflow run that was made for `lockstepRunId`; undefined when there is none. */
  async findRun(
    experimentId: string,
    lockstepRunId: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const found = await this.call<{ runs?: { info: { run_id: string } }[] }>('POST', 'runs/search', signal, {
      experiment_ids: [experimentId],
      filter: `tags.\`${RUN_TAG}\` = '${lockstepRunId}'`,
      max_results: 1,
    });
    return found.runs?.[0]?.info.run_id;
  }

  async createRun(
    experimentId: string,
    name: string,
    lockstepRunId: string,
    startTime: number,
    signal: AbortSignal,
  ): Promise<string> {
    const { run } = await this.call<{ run: { info: { run_id: string } } }>('POST', 'runs/create', signal, {
      experiment_id: experimentId,
      run_name: name,
      start_time: startTime,
      tags: [
        { key: RUN_TAG, value: lockstepRunId },
        { key: 'mlflow.source.name', value: 'lockstep' },
      ],
    });
    return run.info.run_id;
  }

  async updateRun(
    runId: string,
    status: string,
    endTime: number | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const end = endTime === undefined ? {} : { end_time: endTime };
    await this.call('POST', 'runs/update', signal, { run_id: runId, status, ...end });
  }

  async logParameters(
    runId: string,
    parameters: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    const all = Object.entries(parameters).map(([key, value]) => ({
      key,
      value: value.slice(0, MAX_PARAMETER_LENGTH),
    }));
    for (let start = 0; start < all.length; start += MAX_PARAMETERS) {
      const params = all.slice(start, start + MAX_PARAMETERS);
      await this.call('POST', 'runs/log-batch', signal, { run_id: runId, params });
    }
  }

  async logMetrics(runId: string, metrics: readonly MlflowMetric[], signal: AbortSignal): Promise<void> {
    await this.call('POST', 'runs/log-batch', signal, { run_id: runId, metrics });
  }

  private async call<T = unknown>(
    method: 'GET' | 'POST',
    path: string,
    signal: AbortSignal,
    body?: object,
  ): Promise<T> {
    const response = await fetch(`${this.url.replace(/\/$/, '')}/api/2.0/mlflow/${path}`, {
      method,
      headers: this.headers,
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.ok) return JSON.parse(text) as T;
    const { code, message } = refusalIn(text);
    const what = `${method} ${path.split('?')[0]}: ${response.status} ${message}`;
    const isFinal = response.status >= 400 && response.status < 500 && ![408, 429].includes(response.status);
    throw isFinal ? new MlflowRefusal(what, code) : new Error(what);
  }
}

function refusalIn(text: string): { code: string; message: string } {
  try {
    const { error_code: code = '', message = '' } = JSON.parse(text) as {
      error_code?: string;
      message?: string;
    };
    return { code, message };
  } catch {
    return { code: '', message: text.slice(0, 200) };
  }
}
