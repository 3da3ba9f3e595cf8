// A tracking server as far as Lockstep speaks to one: it checks each request against MLflow's REST API (the fields, their
// types and their limits), keeps what it is told, and can be made to fail.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { z } from 'zod';

const tag = z.strictObject({ key: z.string().min(1).max(250), value: z.string().max(5000) });
const metric = z.strictObject({
  key: z
    .string()
    .max(250)
    .regex(/^[\w\-./ ]+$/),
  value: z.number(),
  timestamp: z.int().positive(),
  step: z.int().nonnegative(),
});
const param = z.strictObject({ key: z.string().min(1).max(250), value: z.string().max(500) });

const requests = {
  'experiments/create': z.strictObject({ name: z.string().min(1) }),
  'runs/search': z.strictObject({
    experiment_ids: z.array(z.string()).min(1),
    filter: z.string().regex(/^tags\.`[\w.]+` = '[\w-]+'$/),
    max_results: z.int(),
  }),
  'runs/create': z.strictObject({
    experiment_id: z.string(),
    run_name: z.string(),
    start_time: z.int(),
    tags: z.array(tag),
  }),
  'runs/update': z.strictObject({
    run_id: z.string(),
    status: z.enum(['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED']),
    end_time: z.int().optional(),
  }),
  'runs/log-batch': z.strictObject({
    run_id: z.string(),
    metrics: z.array(metric).max(1000).optional(),
    params: z.array(param).max(100).optional(),
  }),
};

export interface KnownRun {
  readonly id: string;
  readonly tags: readonly z.infer<typeof tag>[];
  readonly metrics: z.infer<typeof metric>[];
  readonly params: z.infer<typeof param>[];
  /** In the order in which they were set. */
  readonly statuses: string[];
}

export class MlflowServer {
  url = '';
  readonly experiments = new Map<string, string>();
  readonly runs: KnownRun[] = [];
  readonly authorizations = new Set<string | undefined>();
  /** Requests that were against the API. */
  readonly faults: string[] = [];
  /** Asked before each request: a status to answer with in place of what it asks. */
  failure: (path: string) => number | undefined = () => undefined;
  /** From then on connections to it are refused. */
  stop: () => Promise<void> = () => Promise.resolve();
  private readonly listeners = new Set<() => void>();

  static async start(t: TestContext): Promise<MlflowServer> {
    const mlflow = new MlflowServer();
    const server = createServer((request, response) => void mlflow.answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    mlflow.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    mlflow.stop = async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    };
    t.after(mlflow.stop);
    return mlflow;
  }

  /** Settles after a request that makes it true. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.listeners.add(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const piece of request) text += String(piece);
    const url = new URL(request.url!, this.url);
    const path = url.pathname.replace('/api/2.0/mlflow/', '');
    this.authorizations.add(request.headers.authorization);
    const status = this.failure(path);
    const [code, body] =
      status === undefined ? this.handle(request.method!, path, url, text) : [status, { message: 'no' }];
    response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    for (const wake of this.listeners) wake();
    this.listeners.clear();
  }

  private handle(method: string, path: string, url: URL, text: string): [number, object] {
    if (method === 'GET' && path === 'experiments/get-by-name') {
      const id = this.experiments.get(url.searchParams.get('experiment_name')!);
      if (id !== undefined) return [200, { experiment: { experiment_id: id } }];
      return [404, { error_code: 'RESOURCE_DOES_NOT_EXIST', message: 'no such experiment' }];
    }
    const schema = method === 'POST' ? requests[path as keyof typeof requests] : undefined;
    const parsed = schema?.safeParse(JSON.parse(text));
    if (!parsed?.success) {
      this.faults.push(`${method} ${path}: ${parsed ? z.prettifyError(parsed.error) : 'unknown'}`);
      return [400, { error_code: 'INVALID_PARAMETER_VALUE', message: 'invalid' }];
    }
    return this.post(path as keyof typeof requests, parsed.data);
  }

  private post(path: keyof typeof requests, data: unknown): [number, object] {
    switch (path) {
      case 'experiments/create': {
        const { name } = data as z.infer<(typeof requests)['experiments/create']>;
        this.experiments.set(name, String(this.experiments.size + 1));
        return [200, { experiment_id: this.experiments.get(name) }];
      }
      case 'runs/search': {
        const { filter } = data as z.infer<(typeof requests)['runs/search']>;
        const found = this.runs.filter(({ tags }) =>
          tags.some(({ key, value }) => filter === `tags.\`${key}\` = '${value}'`),
        );
        return [200, found.length > 0 ? { runs: found.map(({ id }) => ({ info: { run_id: id } })) } : {}];
      }
      case 'runs/create': {
        const { tags } = data as z.infer<(typeof requests)['runs/create']>;
        const id = `mlflow-run-${this.runs.length + 1}`;
        this.runs.push({ id, tags, metrics: [], params: [], statuses: [] });
        return [200, { run: { info: { run_id: id } } }];
      }
      case 'runs/update': {
        const { run_id, status } = data as z.infer<(typeof requests)['runs/update']>;
        this.runs.find(({ id }) => id === run_id)!.statuses.push(status);
        return [200, {}];
      }
      case 'runs/log-batch': {
        const { run_id, metrics, params } = data as z.infer<(typeof requests)['runs/log-batch']>;
        const run = this.runs.find(({ id }) => id === run_id)!;
        run.metrics.push(...(metrics ?? []));
        run.params.push(...(params ?? []));
        return [200, {}];
      }
    }
  }
}
