// The weights that a run begins with: random ones, or those of another model that has the same shape and vocabulary.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { nameOf, type Folder } from '../checkpoint/folder.js';
import { openFolder } from '../checkpoint/open-folder.js';
import { resolveModel } from '../checkpoint/run-directory.js';
import { withWayOut } from '../checkpoint/way-out.js';
import type { RunConfig } from '../config/schema.js';
import type { Dataset } from '../data/dataset.js';
import { parseVocabulary } from '../data/tokenizer.js';
import type { ModelConfig } from '../model/config.js';
import { initialParameters } from '../model/initialise.js';
import type { ParameterLayout } from '../model/parameters.js';
import { StoredModel } from '../model/stored-model.js';
import { messageOf, UserError } from '../util/errors.js';
import { pathExists } from '../util/exists.js';

/** What must be equal, by the key that sets it here. Dropout and the ids of special tokens are the run's own. */
const SHAPE: readonly (readonly [key: string, field: keyof ModelConfig])[] = [
  ['model.width', 'width'],
  ['model.heads', 'heads'],
  ['model.feedForward', 'feedForward'],
  ['model.encoderLayers', 'encoderLayers'],
  ['model.decoderLayers', 'decoderLayers'],
  ['model.norm', 'norm'],
  ['model.activation', 'activation'],
  ['model.maxLength', 'maxLength'],
];

const idsSchema = z.record(z.string(), z.int());

/** What the weights of an embedding mean. */
type Vocabulary = Pick<Dataset, 'directory' | 'vocabularySize' | 'tokenizerFile'>;

/**
 * Fills `flat` with the weights that the config asks for. Throws UserError INITIALISE_MISMATCH with every difference, and
 * what opening the other model throws.
 */
export async function initialWeights(
  config: RunConfig,
  model: ModelConfig,
  dataset: Vocabulary,
  layout: ParameterLayout,
  flat: Float32Array,
): Promise<void> {
  if (config.initialise === null) return initialParameters(layout, model, config.seed, flat);
  const place = await openFolder(config.initialise);
  try {
    await readWeights(place, model, dataset, layout, flat);
  } catch (error) {
    throw await withWayOut(await withFolder(error, config.initialise), place);
  }
}

/** The error; where a bare word was taken for the name of a run, and is that of a folder, it says so. */
async function withFolder(error: unknown, initialise: string): Promise<unknown> {
  if (!(error instanceof UserError) || error.code !== 'MODEL_NOT_FOUND') return error;
  const name = path.basename(initialise);
  if (initialise !== path.resolve('runs', name) || !(await pathExists(name))) return error;
  const hint = `initialise takes a bare word for the name of a run; did you mean the folder ./${name}?`;
  return new UserError(error.code, `${error.message}; ${hint}`, { cause: error });
}

async function readWeights(
  place: Folder,
  model: ModelConfig,
  dataset: Vocabulary,
  layout: ParameterLayout,
  flat: Float32Array,
): Promise<void> {
  const folder = await resolveModel(place, { damaged: 'refuse' });
  const stored = await StoredModel.open(folder);
  const differences = SHAPE.filter(([, field]) => stored.config[field] !== model[field]).map(
    ([key, field]) => `${key} is ${stored.config[field]} there, ${model[field]} here`,
  );
  differences.push(...(await tokenDifferences(stored, dataset)));
  if (differences.length > 0) {
    throw new UserError(
      'INITIALISE_MISMATCH',
      `the run cannot begin with the weights of ${folder.url}: ${differences.join('; ')}. ` +
        'Set the config as it is there, and prepare the data with the tokenizer there (npx lockstep prepare --tokenizer)',
    );
  }
  await stored.readWeights(layout.tensors, flat);
}

/** Rows of the embedding mean the same only under the same vocabulary. */
async function tokenDifferences(stored: StoredModel, dataset: Vocabulary): Promise<string[]> {
  const theirs = stored.config;
  const { vocabularySize } = dataset;
  const differences: string[] = [];
  if (theirs.vocabularySize !== vocabularySize) {
    differences.push(
      `the vocabulary has ${theirs.vocabularySize} tokens there, ${vocabularySize} in ${dataset.directory}`,
    );
  }
  const tokenThere = await vocabularyOf(stored);
  if (tokenThere === null || differences.length > 0) return differences;
  const tokenHere = parseVocabulary(await readFile(dataset.tokenizerFile, 'utf8'), dataset.tokenizerFile);
  for (let id = 0; id < vocabularySize; id++) {
    const [there, here] = [tokenThere(id), tokenHere(id)];
    if (there === here) continue;
    return [`token ${id} is ${JSON.stringify(there)} there, ${JSON.stringify(here)} in ${dataset.directory}`];
  }
  return [];
}

/** The tokens of a model by their ids: from its tokenizer.json or, as Marian models have it, vocab.json; null without either. */
async function vocabularyOf(stored: StoredModel): Promise<((id: number) => string | null) | null> {
  const { folder } = stored;
  const tokenizer = await stored.text('tokenizer.json');
  if (tokenizer !== null) return parseVocabulary(tokenizer, nameOf(folder, 'tokenizer.json'));
  const text = await stored.text('vocab.json');
  if (text === null) return null;
  try {
    const tokens = new Map(
      Object.entries(idsSchema.parse(JSON.parse(text))).map(([token, id]) => [id, token]),
    );
    return (id) => tokens.get(id) ?? null;
  } catch (error) {
    const message = `${nameOf(folder, 'vocab.json')}: expected an object of tokens to their ids, ${messageOf(error)}`;
    throw new UserError('TOKENIZER_INVALID', message, { cause: error });
  }
}
