// A run that something happens to, in processes of its own, and the run that it is compared with: the same config,
// undisturbed. The oracle is the SHA-256 of the last checkpoint's tensors.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { LockstepProcess, type Listening } from '../../bench/support/lockstep-process.js';
import { hashOfTrained, prepareWords } from '../support/small-data.js';
import { failpointEnvironment, type Failpoint } from './failpoints.js';

/** Six micro-batches (no power of two), dropout, evaluations and checkpoints beside the steps. */
const CONFIG = `
data: ./data
tracking: { samples: 0 }
objective: { kind: masked, rate: 0.3 }
window: 24
batch: { microBatches: 6, samples: 4 }
optimizer: { learningRate: 0.003, schedule: { kind: constant, warmupSteps: 3 } }
worker: { threads: 1 }
heartbeat: { intervalMs: 200, timeoutMs: 3000 }
emulate: true
`;

const VOCABULARY = 1500;

/** Models by what they are good for. `steps` of each: an evaluation at half and end, a checkpoint every two. */
const MODELS = {
  /** Three chunks, so that as many reducers have work and a gradient is sent in parts: 520,000 parameters. */
  chunked: { width: 160, heads: 4, feedForward: 256, steps: 12 },
  /** One chunk, fast steps: 60,000 parameters. */
  small: { width: 32, heads: 2, feedForward: 64, steps: 12 },
  /** For lines that carry 27 KB/s: 7,000 parameters. */
  tiny: { width: 4, heads: 2, feedForward: 8, steps: 2 },
} as const;

export type ModelName = keyof typeof MODELS;
export type Format = 'float32' | 'bfloat16';

export interface SceneOptions {
  readonly model: ModelName;
  /** Of products and of the wire. */
  readonly format: Format;
  /** Keys of the config to set, such as "reducers=3": none may change the bits. */
  readonly settings?: readonly string[];
  /** In place of the model's. */
  readonly steps?: number;
}

export interface StartOptions {
  readonly failpoint?: Failpoint | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly args?: readonly string[];
  readonly within?: readonly string[];
}

/** The data set and the undisturbed runs that the scenes of one test file share. */
export class Stage {
  private folder: Promise<string> | undefined;
  private readonly undisturbed = new Map<string, Promise<string>>();
  private readonly scenes: Scene[] = [];

  async scene(options: SceneOptions): Promise<Scene> {
    const folder = await (this.folder ??= prepareData());
    const scene = new Scene(this, folder, `run-${this.scenes.length + 1}`, options);
    this.scenes.push(scene);
    return scene;
  }

  /** A scene for one test, closed after it. */
  async play(
    body: (scene: Scene) => Promise<void>,
    options: SceneOptions = { model: 'small', format: 'float32' },
  ): Promise<void> {
    const scene = await this.scene(options);
    try {
      await body(scene);
    } finally {
      await scene.close();
    }
  }

  /** What an undisturbed run of one worker ends with. */
  reference({ model, format, steps = MODELS[model].steps }: SceneOptions): Promise<string> {
    const key = `${model} ${format} ${steps}`;
    let hashes = this.undisturbed.get(key);
    if (!hashes) this.undisturbed.set(key, (hashes = this.train({ model, format, steps })));
    return hashes;
  }

  /** Ends whatever a test that failed has left running, and removes all files. */
  async remove(): Promise<void> {
    for (const scene of this.scenes) await scene.close();
    if (this.folder) await rm(await this.folder, { recursive: true, force: true });
  }

  private async train(options: SceneOptions): Promise<string> {
    const scene = await this.scene(options);
    const run = await scene.start('train', { args: ['--workers', '1'] });
    assert.equal(await run.exit(), 0, run.text());
    return scene.hash();
  }
}

export class Scene {
  readonly steps: number;
  readonly directory: string;
  /** The latest coordinator. */
  coordinator!: LockstepProcess;
  readonly everyCoordinator: LockstepProcess[] = [];
  /** Where it listens; the next one will listen there as well. */
  url = 'tcp://127.0.0.1:*';
  private readonly processes: LockstepProcess[] = [];
  private readonly cleanups: (() => Promise<unknown>)[] = [];

  constructor(
    private readonly stage: Stage,
    private readonly folder: string,
    private readonly name: string,
    private readonly options: SceneOptions,
  ) {
    this.steps = options.steps ?? MODELS[options.model].steps;
    this.directory = path.join(folder, name);
  }

  /** A command that trains this run. */
  async start(command: 'train' | 'coordinator', options: StartOptions = {}): Promise<LockstepProcess> {
    const config = path.join(this.folder, `${this.name}.yaml`);
    await writeFile(config, configText(this.options));
    const settings = (this.options.settings ?? []).flatMap((setting) => ['--set', setting]);
    const common = ['--run', this.directory, '--log-level', 'debug', ...settings];
    return this.run([command, config, ...common, ...(options.args ?? [])], options);
  }

  /** Starts a coordinator, or the next one after it was killed, and returns when it listens. */
  async startCoordinator(options: StartOptions = {}): Promise<LockstepProcess> {
    const args = ['--bind', this.url, ...(options.args ?? [])];
    this.coordinator = await this.start('coordinator', { ...options, args });
    this.everyCoordinator.push(this.coordinator);
    this.url = (await this.listening()).url;
    return this.coordinator;
  }

  /** Where the coordinator listens. */
  listening(): Promise<Listening> {
    return this.coordinator.listening();
  }

  worker(name: string, options: StartOptions & { readonly url?: string } = {}): LockstepProcess {
    const { url = this.url, args = [] } = options;
    return this.run(['worker', url, '--name', name, '--threads', '1', ...args], options);
  }

  /** Any command, to be ended with the scene at the latest. */
  run(args: readonly string[], { failpoint, env, within }: StartOptions = {}): LockstepProcess {
    const armed = failpoint ? failpointEnvironment(failpoint) : {};
    const process = new LockstepProcess(args, { cwd: this.folder, env: { ...armed, ...env }, within });
    this.processes.push(process);
    return process;
  }

  /** Resolves when the coordinator has ended because of its failpoint. */
  async killed(process = this.coordinator): Promise<void> {
    assert.equal(await process.exit(), 'SIGKILL', process.text());
  }

  /** Waits for the end of the run and compares its bits with the undisturbed run's. */
  async finish(): Promise<void> {
    assert.equal(await this.coordinator.exit(), 0, this.coordinator.text());
    await this.assertSameBits();
  }

  async assertSameBits(): Promise<void> {
    assert.equal(await this.hash(), await this.stage.reference(this.options));
  }

  /** SHA-256 of the trained weights and of the optimiser's state. */
  hash(): Promise<string> {
    return hashOfTrained(this.directory, this.steps);
  }

  checkpoint(step: number, file?: string): string {
    return path.join(this.directory, 'checkpoints', `step-${step}`, ...(file === undefined ? [] : [file]));
  }

  /** What is to be undone when the run is over and its files were looked at. */
  atClose(cleanup: () => Promise<unknown>): void {
    this.cleanups.push(cleanup);
  }

  /** Ends whatever still runs. */
  async close(): Promise<void> {
    for (const process of this.processes) process.kill('SIGKILL');
    await Promise.all(this.processes.map((process) => process.exit()));
    for (const cleanup of this.cleanups.splice(0)) await cleanup();
  }
}

async function prepareData(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'lockstep-chaos-'));
  await prepareWords(folder, { words: 12_000, vocabularySize: VOCABULARY, validationShare: 0.2 });
  return folder;
}

function configText({ model, format, ...options }: SceneOptions): string {
  const { width, heads, feedForward } = MODELS[model];
  const { steps = MODELS[model].steps } = options;
  return `${CONFIG}
model: { width: ${width}, heads: ${heads}, feedForward: ${feedForward}, encoderLayers: 1, decoderLayers: 1, maxLength: 32 }
steps: ${steps}
evaluate: { every: ${steps / 2}, batches: 3 }
checkpoint: { every: 2 }
wire: ${format}
precision: ${format}
`;
}
