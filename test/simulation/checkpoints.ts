// The checkpoints of a simulated run: the real writer and the real store, on a simulated disk.
import assert from 'node:assert/strict';
import type { Logger } from 'pino';
import type { TensorLayout } from '../../src/checkpoint/layout.js';
import { CheckpointStore } from '../../src/checkpoint/store.js';
import { CheckpointWriter } from '../../src/coordinator/checkpoint-writer.js';
import type { CoordinatorEvent } from '../../src/coordinator/events.js';
import type { SnapshotFiles, ToReducer } from '../../src/coordinator/reducer/port.js';
import type { Reducers } from '../../src/coordinator/reducers.js';
import type { OpenRun } from '../../src/coordinator/run.js';
import type { Slice } from '../../src/protocol/chunks.js';
import { TermsFolder } from '../../src/checkpoint/terms-folder.js';
import { messageOf } from '../../src/util/errors.js';
import { Disk } from './disk.js';
import type { Process } from './process.js';
import type { TrainingState } from './reference.js';
import type { Scenario } from './scenario.js';

type Vectors = Omit<TrainingState, 'progress'>;

const CHECKPOINTS = 'checkpoints';
const EMPTY = new Uint8Array(Buffer.from('{}'));
const TOKENIZER = new Map([
  ['tokenizer.json', EMPTY],
  ['tokenizer_config.json', EMPTY],
]);
const SEED = 1;

function layoutOf({ grid: { trainable, total } }: Scenario): TensorLayout {
  const trained = { name: 'trained', shape: [trainable], offset: 0, size: trainable };
  const frozen = { name: 'frozen', shape: [total - trainable], offset: trainable, size: total - trainable };
  return { tensors: total > trainable ? [trained, frozen] : [trained], trainable, total };
}

/** What is there from the beginning. */
export function furnish(disk: Disk): void {
  disk.folders.add(`disk/${CHECKPOINTS}`);
}

/** By what a coordinator holds the run. */
export interface Holding {
  readonly term: number;
  /** An earlier coordinator may still live. */
  readonly contested: boolean;
  /** It has found that a later term was taken. */
  readonly superseded: () => void;
}

const OWNER = { host: 'here', machineId: '', bootId: '', pidNamespace: '', pid: 1, startTime: '' };
const RENEWAL = { intervalMs: 1, timeoutMs: 1 };

/** Takes the next term of the run. */
export async function claimTerm(disk: Disk, term: number): Promise<void> {
  const terms = new TermsFolder(disk.folder(null));
  await terms.make();
  assert.ok(await terms.claim(term, OWNER, RENEWAL), 'no two coordinators have one term');
}

/** As the owner of a term does it: when the next one was taken, the owner's end is begun, and this throws. */
export async function checkTerm(
  disk: Disk,
  process: Process | null,
  { term, superseded }: Holding,
): Promise<void> {
  if (!(await new TermsFolder(disk.folder(process)).isTaken(term + 1))) return;
  superseded();
  throw new Error(`term ${term + 1} was taken`);
}

function storeOn(disk: Disk, scenario: Scenario, process: Process | null, holding: Holding): CheckpointStore {
  const check = (): Promise<void> =>
    scenario.takeovers ? checkTerm(disk, process, holding) : Promise.resolve();
  return new CheckpointStore({
    checkpoints: disk.folder(process).at(CHECKPOINTS),
    layout: layoutOf(scenario),
    config: {},
    generationConfig: {},
    tokenizer: TOKENIZER,
    retention: { keepLast: scenario.keepLast, keepBest: true, keepEvery: null },
    term: { contested: holding.contested, check },
    onWarning: () => undefined,
  });
}

/** What a coordinator that starts finds: the newest checkpoint that is whole, with everything torn removed. */
export async function newestOn(
  disk: Disk,
  scenario: Scenario,
  holding: Holding,
): Promise<TrainingState | undefined> {
  const { grid } = scenario;
  const vectors = {
    parameters: new Float32Array(grid.total),
    moment1: new Float32Array(grid.trainable),
    moment2: new Float32Array(grid.trainable),
  };
  const store = storeOn(disk, scenario, null, holding);
  const loaded = await store.loadLatest(vectors, (_, error) => {
    throw error; // nothing here damages a checkpoint that was finished
  });
  await store.removeTorn();
  if (!loaded) return undefined;
  const { step, updates, tokens, best, fingerprint, expelled } = loaded.state;
  return { ...vectors, progress: { version: step, updates, tokens, best, fingerprint, expelled } };
}

export interface CheckpointWorld {
  readonly scenario: Scenario;
  readonly disk: Disk;
  readonly process: Process;
  readonly holding: Holding;
  readonly memory: Vectors;
  readonly slices: readonly Slice[];
  toReducer(reducer: number, body: () => void): void;
  fromReducer(reducer: number, body: () => void): void;
  decide(event: CoordinatorEvent): void;
}

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** The real writer; its reducers copy and write their slices as reducer/thread.ts does. */
export function checkpointWriter(world: CheckpointWorld): CheckpointWriter {
  const copies = new Map<number, Vectors>();
  const run = {
    store: storeOn(world.disk, world.scenario, world.process, world.holding),
    term: { number: world.holding.term },
    config: { seed: SEED },
    dataset: { sha256: 'd'.repeat(64) },
  } as unknown as OpenRun;
  const write = async (reducer: number, version: number, files: SnapshotFiles): Promise<void> => {
    const failure = await writeSlices(world, reducer, copies.get(reducer)!, files).then(
      () => null,
      messageOf,
    );
    if (world.process.isAlive) world.fromReducer(reducer, () => writer.written(version, failure));
  };
  const tellAll = (message: ToReducer): void => {
    for (let reducer = 0; reducer < world.slices.length; reducer++) {
      world.toReducer(reducer, () => {
        if (message.type === 'snapshot') copies.set(reducer, copyOf(world.memory));
        else if (message.type === 'write' && message.files)
          void write(reducer, message.version, message.files);
      });
    }
  };
  const handlers = {
    decide: (event: CoordinatorEvent) => world.decide(event),
    publish: () => undefined,
    flush: () => Promise.resolve(),
  };
  const writer: CheckpointWriter = new CheckpointWriter(
    run,
    { tellAll } as unknown as Reducers,
    handlers,
    SILENT as unknown as Logger,
    () => world.process.now(),
  );
  return writer;
}

function copyOf({ parameters, moment1, moment2 }: Vectors): Vectors {
  return { parameters: parameters.slice(), moment1: moment1.slice(), moment2: moment2.slice() };
}

async function writeSlices(
  { scenario: { grid }, slices, disk, process }: CheckpointWorld,
  reducer: number,
  { parameters, moment1, moment2 }: Vectors,
  { model, optimizer }: SnapshotFiles,
): Promise<void> {
  const { firstChunk, endChunk } = slices[reducer]!;
  const [start, end] = [grid.start(firstChunk), grid.start(endChunk)];
  const at = start * 4;
  await disk.writeSlice(process, model.path, model.dataOffset + at, parameters.subarray(start, end));
  if (start >= grid.trainable) return;
  await disk.writeSlice(process, optimizer.path, optimizer.moment1Offset + at, moment1.subarray(start, end));
  await disk.writeSlice(process, optimizer.path, optimizer.moment2Offset + at, moment2.subarray(start, end));
}

/** The folder of the newest checkpoint that a reader accepts. */
export function newestFolder(disk: Disk): string | undefined {
  const manifest = /^(disk\/checkpoints\/step-(\d+)(?:-term-(\d+))?)\/manifest\.json$/;
  let newest: { folder: string; step: number } | undefined;
  for (const path of disk.files.keys()) {
    const [, folder, step] = manifest.exec(path) ?? [];
    if (folder === undefined || Number(step) < (newest?.step ?? 0)) continue;
    newest = { folder, step: Number(step) };
  }
  return newest?.folder;
}
