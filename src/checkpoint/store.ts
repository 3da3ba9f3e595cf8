// The checkpoints of one run, as their owner writes and reads them. Writing has two halves: `begin` makes room, reducers
// fill the slices they own (writeSlice, from any thread, at their own pace), `finish` makes a checkpoint of it.

import { UserError, assert, messageOf } from '../util/errors.js';
import { jsonText } from '../util/json.js';
import { nameOf, type Folder } from './folder.js';
import { hashBytes } from './hash.js';
import type { TensorLayout } from './layout.js';
import { damagedCheckpoints, listCheckpoints, type CheckpointFolder, type CheckpointInfo } from './list.js';
import { loadCheckpoint, type TrainingVectors } from './load.js';
import { encodeManifest, MANIFEST, totalBytes, type ManifestFile } from './manifest.js';
import { checkpointName, MODEL_FILE, OPTIMIZER_FILE, STATE_FILE } from './names.js';
import { optimizerTensors } from './optimizer-layout.js';
import { removeCheckpoint, removeTornCheckpoints } from './remove.js';
import { newestFirst, toDelete, type RetentionPolicy } from './retention.js';
import { createSafetensors, type TensorFile } from './safetensors.js';
import type { CheckpointState } from './state.js';
import type { Term } from './term.js';

const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer_config.json'];

/** By their names. */
export type TokenizerFiles = ReadonlyMap<string, Uint8Array>;

/** Of the prepared data set in `folder`. Throws UserError TOKENIZER_MISSING. */
export async function readTokenizerFiles(folder: Folder): Promise<TokenizerFiles> {
  const files = TOKENIZER_FILES.map(async (name) => {
    const data = await folder.read(name);
    if (data === null) throw new UserError('TOKENIZER_MISSING', `${nameOf(folder, name)} is missing`);
    return [name, data] as const;
  });
  return new Map(await Promise.all(files));
}

export interface StoreOptions {
  /** `checkpoints/` of the run. */
  readonly checkpoints: Folder;
  readonly layout: TensorLayout;
  /** Contents of config.json and generation_config.json. */
  readonly config: object;
  readonly generationConfig: object;
  /** Contents of the tokenizer's files. */
  readonly tokenizer: TokenizerFiles;
  readonly retention: RetentionPolicy;
  /** What the owner holds the run by. Where it is contested, an earlier owner may still write, and names carry the term. */
  readonly term: Pick<Term, 'contested' | 'check'>;
  /** Told about what went wrong without harm to a checkpoint: one sentence. */
  readonly onWarning: (message: string) => void;
}

/** A checkpoint that is being written. Offsets are bytes in the files, 4 per element. */
export interface BegunCheckpoint {
  readonly step: number;
  readonly term: number;
  readonly folder: Folder;
  /** Element i of the flat parameter vector lies at `dataOffset + 4 * i`. Zeros where nothing is written. */
  readonly model: TensorFile;
  /** Moments of element i (i < layout.trainable) lie at `moment1Offset + 4 * i` and `moment2Offset + 4 * i`. */
  readonly optimizer: {
    readonly path: string;
    readonly moment1Offset: number;
    readonly moment2Offset: number;
  };
}

export interface LoadedCheckpoint {
  readonly info: CheckpointInfo;
  readonly state: CheckpointState;
}

export class CheckpointStore {
  /** Checkpoints that were found damaged, by their directory: neither listed nor counted again. */
  private readonly bad = new Map<string, CheckpointFolder>();

  constructor(private readonly options: StoreOptions) {}

  /** Valid checkpoints (by manifest and sizes; known bad ones left out), newest first. */
  async list(): Promise<CheckpointInfo[]> {
    const all = await listCheckpoints(this.options.checkpoints);
    return all.filter((info) => !this.bad.has(info.directory));
  }

  /**
   * Deletes what a crash left unfinished; call once, before the first `begin`. Returns where they lay. An earlier owner that
   * may still live could be finishing what looks unfinished: then it waits until this owner has finished a newer one.
   */
  async removeTorn(): Promise<string[]> {
    return this.options.term.contested ? [] : removeTornCheckpoints(this.options.checkpoints);
  }

  /** Makes the folder and both tensor files at full size. Nothing is a checkpoint before `finish`. */
  async begin(step: number, term: number): Promise<BegunCheckpoint> {
    const folder = await this.makeFolder(step, term);
    try {
      const { layout } = this.options;
      const model = await createSafetensors(folder, MODEL_FILE, layout.tensors);
      const { path, dataOffset } = await createSafetensors(folder, OPTIMIZER_FILE, optimizerTensors(layout));
      return {
        step,
        term,
        folder,
        model,
        optimizer: { path, moment1Offset: dataOffset, moment2Offset: dataOffset + 4 * layout.trainable },
      };
    } catch (error) {
      await folder.removeAll();
      throw error;
    }
  }

  /** Whoever makes the folder owns it. */
  private async makeFolder(step: number, term: number): Promise<Folder> {
    const { checkpoints, term: held } = this.options;
    const plain = checkpoints.at(checkpointName(step, term, false));
    if (!held.contested && (await plain.make())) return plain;
    const own = checkpoints.at(checkpointName(step, term, true));
    if (await own.make()) return own;
    throw new Error(`${own.url} is there already`);
  }

  /**
   * Makes a checkpoint of a begun one whose slices are all written: small files, sync, sums, manifest; then deletes
   * what retention no longer keeps. When it throws, nothing of it is left.
   */
  async finish(begun: BegunCheckpoint, state: CheckpointState): Promise<CheckpointInfo> {
    assert(
      state.step === begun.step,
      `a checkpoint of step ${begun.step}, with the state of step ${state.step}`,
    );
    const { folder, step, term } = begun;
    let files: ManifestFile[];
    try {
      files = await this.complete(folder, state);
      await this.options.term.check();
      await createIn(folder, MANIFEST, encodeManifest(step, term, files));
    } catch (error) {
      await this.abandon(begun);
      throw error;
    }
    const { validationLoss } = state;
    const info = { folder, directory: folder.url, step, term, bytes: totalBytes(files), validationLoss };
    await this.retain(info);
    return info;
  }

  /** Deletes a begun checkpoint that will not be finished. */
  async abandon(begun: BegunCheckpoint): Promise<void> {
    await removeCheckpoint(begun.folder);
  }

  /** Writes the small files, and has all stored for good; gives them in the order of the manifest. */
  private async complete(folder: Folder, state: CheckpointState): Promise<ManifestFile[]> {
    const { config, generationConfig, tokenizer } = this.options;
    const create = async (name: string, data: string | Uint8Array): Promise<ManifestFile> => {
      await createIn(folder, name, data);
      return { name, bytes: Buffer.byteLength(data), sha256: hashBytes(data) };
    };
    const seal = async (name: string): Promise<ManifestFile> => ({ name, ...(await folder.seal(name)) });
    return allOf([
      create('config.json', jsonText(config)),
      create('generation_config.json', jsonText(generationConfig)),
      seal(MODEL_FILE),
      seal(OPTIMIZER_FILE),
      create(STATE_FILE, jsonText(state)),
      ...[...tokenizer].map(([name, data]) => create(name, data)),
    ]);
  }

  /**
   * Deletes what the policy does not keep, and nothing that is newer than `newest`, which this owner has just finished. So
   * whoever deletes, superseded or not, the newest checkpoint of all stays.
   */
  private async retain(newest: CheckpointInfo): Promise<void> {
    const { checkpoints, retention, term } = this.options;
    try {
      await term.check();
      // A damaged checkpoint of this step has just been written anew, from the same bits.
      const superseded = [...this.bad.values()].filter((bad) => bad.step === newest.step);
      const expired = toDelete(await this.list(), retention).filter((info) => newestFirst(newest, info) < 0);
      for (const { folder } of [...superseded, ...expired]) {
        if (folder.url === newest.directory) continue;
        await removeCheckpoint(folder);
        this.bad.delete(folder.url);
      }
      if (term.contested) await removeTornCheckpoints(checkpoints, newest.step);
    } catch (error) {
      this.options.onWarning(`could not delete an old checkpoint: ${messageOf(error)}`);
    }
  }

  /**
   * Loads the newest checkpoint that is whole; null when the run has none at all. `onBad` is told of each newer one that is
   * damaged. `check` sees the state before tensors are read, and may throw (a config that cannot continue the run).
   * Throws UserError CHECKPOINTS_ALL_BAD when there are checkpoints, but none is whole.
   */
  async loadLatest(
    into: TrainingVectors,
    onBad: (directory: string, error: UserError) => void,
    check?: (state: CheckpointState) => void,
  ): Promise<LoadedCheckpoint | null> {
    const { checkpoints, layout } = this.options;
    const damaged = await damagedCheckpoints(checkpoints);
    const report = ({ folder, step }: CheckpointFolder, error: UserError): void => {
      this.bad.set(folder.url, { folder, step });
      onBad(folder.url, error);
    };
    for (const info of await this.list()) {
      const newer = damaged.filter(({ step }) => step > info.step);
      for (const bad of newer.filter(({ folder }) => !this.bad.has(folder.url))) {
        report(bad, new UserError('CHECKPOINT_BAD', `${bad.folder.url}: ${bad.problem}`));
      }
      try {
        return { info, state: await loadCheckpoint(info.folder, layout, into, check) };
      } catch (error) {
        if (!(error instanceof UserError) || error.code !== 'CHECKPOINT_BAD') throw error;
        report(info, error);
      }
    }
    if (damaged.length === 0 && this.bad.size === 0) return null;
    throw new UserError(
      'CHECKPOINTS_ALL_BAD',
      `every checkpoint in ${checkpoints.url} is damaged (\`npx lockstep verify\` says how): restore one, or delete them to begin again`,
    );
  }
}

/** All results, or the first failure, once nothing is under way any more. */
async function allOf<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

/** Throws when there is another file of that name. */
async function createIn(folder: Folder, name: string, data: string | Uint8Array): Promise<void> {
  if (!(await folder.create(name, data))) throw new Error(`${nameOf(folder, name)} is there already`);
}
