// The decoders of what is read from files: configs, keys, data sets, tokenizers, checkpoints, models' configs.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decodeManifest, encodeManifest } from '../../src/checkpoint/manifest.js';
import { decodeHeader, encodeHeader, headerLength } from '../../src/checkpoint/safetensors-header.js';
import { parseState } from '../../src/checkpoint/state.js';
import { loadConfig, parseRunConfig } from '../../src/config/load.js';
import { parseOverride } from '../../src/config/overrides.js';
import { openDataset } from '../../src/data/dataset.js';
import { parseManifest } from '../../src/data/manifest.js';
import { parsePiece } from '../../src/data/records.js';
import { parseTokenizer } from '../../src/data/tokenizer.js';
import { fromHuggingFace, toHuggingFace } from '../../src/model/hugging-face.js';
import { parameterLayout } from '../../src/model/parameters.js';
import { parsePublicKeys, parseSecretKey } from '../../src/transport/key-files.js';
import { generateKeyPair, publicKeyText, secretKeyText } from '../../src/transport/keys.js';
import { UserError } from '../../src/util/errors.js';
import { json, textOf, type Decoder } from './decoder.js';

const FILE = 'file';
const SHA = 'ab'.repeat(32);

const CONFIG = `
name: run
data: ./data
model: &m { width: 16, heads: 2, feedForward: 16, encoderLayers: 1, decoderLayers: 1, maxLength: 16 }
objective: { kind: masked, rate: 0.3, corruption: span, meanSpan: 2 }
window: 8
batch: { microBatches: 6, samples: 4 }
optimizer: { learningRate: 0.003, schedule: { kind: constant, warmupSteps: 3 }, clipNorm: null }
evaluate: { every: 6, batches: 3 }
heartbeat: { intervalMs: 200, timeoutMs: 3000 }
`;

const MANIFEST = {
  format: 'lockstep-dataset',
  version: 1,
  kind: 'pairs',
  vocabularySize: 10,
  tokenBytes: 2,
  padId: 0,
  endId: 1,
  maskId: 2,
  specialIds: [0, 1, 2],
  splits: {
    train: {
      documents: 2,
      tokens: 4,
      shards: [
        {
          file: 'train-0.bin',
          bytes: 8,
          sha256: SHA,
          tokens: 4,
          pairs: 2,
          index: { file: 'train-0.idx', bytes: 32, sha256: SHA },
        },
      ],
    },
    validation: { documents: 0, tokens: 0, shards: [] },
  },
  unigramNats: null,
  input: { files: 1, bytes: 1, lines: 1, malformed: 0 },
  files: [{ file: 'tokenizer.json', bytes: 2, sha256: SHA }],
};

const STATE = {
  step: 3,
  updates: 3,
  tokens: 100,
  seed: 1,
  config: { name: 'run', data: 'd', steps: 3 },
  validationLoss: 1.5,
  best: { step: 2, loss: 1.25 },
  dataset: SHA,
  fingerprint: 'f',
  savedAt: null,
  lockstepVersion: '0.1.0',
};

const MODEL = {
  vocabularySize: 10,
  width: 4,
  heads: 2,
  feedForward: 8,
  encoderLayers: 1,
  decoderLayers: 1,
  maxLength: 8,
  dropout: 0.1,
  norm: 'post',
  activation: 'relu',
  padId: 0,
  endId: 1,
  startId: 0,
} as const;

const TOKENIZER = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: ['<pad>', '</s>', '<mask>'].map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    vocab: { '<pad>': 0, '</s>': 1, '<mask>': 2, a: 3, b: 4, ab: 5 },
    merges: [['a', 'b']],
  },
};

/** The bytes behind the length, as reading a file would give them. */
function decodeSafetensors(input: Uint8Array): void {
  const length = headerLength(input.subarray(0, 8), input.length, FILE);
  decodeHeader(input.subarray(8, 8 + length), input.length, FILE);
}

function safetensors(...shapes: readonly number[][]): Uint8Array {
  const header = encodeHeader(shapes.map((shape, i) => ({ name: `t${i}`, shape })));
  const data = shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 4), 0);
  return Buffer.concat([header, Buffer.alloc(data)]);
}

let folder: string | undefined;

/** A folder that goes when the process does. */
function scratch(): string {
  if (folder === undefined) {
    folder = mkdtempSync(path.join(tmpdir(), 'lockstep-fuzz-'));
    process.once('exit', () => rmSync(folder!, { recursive: true, force: true }));
  }
  return folder;
}

/** A data set of which the manifest, the shard or the index is the input: the first byte says which. */
async function readDataset(input: Uint8Array): Promise<void> {
  const directory = scratch();
  const files = new Map<string, Uint8Array>([
    ['manifest.json', json(MANIFEST)],
    ['tokenizer.json', Buffer.from('{}')],
    ['train-0.bin', Buffer.from(Uint16Array.from([3, 4, 5, 6]).buffer)],
    ['train-0.idx', INDEX],
  ]);
  const changed = ['manifest.json', 'train-0.bin', 'train-0.idx'][input[0]! % 3] ?? 'manifest.json';
  files.set(changed, input.subarray(1));
  for (const [name, bytes] of files) writeFileSync(path.join(directory, name), bytes);
  const dataset = await openDataset(directory);
  try {
    const split = dataset.split('train', 3);
    for (let i = 0; i < Math.min(3, split.samples); i++) await split.read(i);
  } finally {
    await dataset.close();
  }
}

const INDEX = Buffer.alloc(32);
[0n, 2n].forEach((offset, i) => {
  INDEX.writeBigUInt64LE(offset, i * 16);
  INDEX.writeUInt32LE(1, i * 16 + 8);
  INDEX.writeUInt32LE(1, i * 16 + 12);
});

function readConfig(input: Uint8Array): void {
  const file = path.join(scratch(), 'run.yaml');
  writeFileSync(file, input);
  loadConfig(file);
}

async function readTokenizer(input: Uint8Array): Promise<void> {
  const tokenizer = parseTokenizer(textOf(input), null, FILE);
  await tokenizer.decode(await tokenizer.encode('ab b </s>'), { skipSpecial: false });
}

function readModelConfig(input: Uint8Array): void {
  let value: unknown;
  try {
    value = JSON.parse(textOf(input));
  } catch (error) {
    throw new UserError('MODEL_CONFIG_INVALID', String(error)); // as its reader does
  }
  parameterLayout(fromHuggingFace(value, FILE));
}

const piece = {
  offset: 0,
  heldOut: false,
  endsDocument: true,
  tooLong: false,
};

const keys = generateKeyPair();

export const fileDecoders: readonly Decoder[] = [
  {
    name: 'safetensors',
    share: 20,
    words: ['"data_offsets":[0,8]', '"dtype":"F32"', '"__metadata__":{}', '"t0":', '"shape":[]'],
    inputs: [safetensors([2, 3], [4]), safetensors([0], [1, 1]), safetensors()],
    decode: decodeSafetensors,
  },
  {
    name: 'checkpoint-manifest',
    share: 10,
    words: ['\n}\n', '"sha256":', '"bytes":'],
    inputs: [Buffer.from(encodeManifest(3, 1, [{ name: 'a', bytes: 3, sha256: SHA }]))],
    decode: (input) => decodeManifest(textOf(input)),
  },
  {
    name: 'checkpoint-state',
    share: 5,
    words: ['"config":', '"best":null'],
    inputs: [json(STATE)],
    decode: (input) => parseRunConfig(parseState(textOf(input), FILE).config, FILE),
  },
  {
    name: 'dataset-manifest',
    share: 6,
    words: ['"shards":', '"index":', '"pairs":'],
    inputs: [json(MANIFEST)],
    decode: (input) => parseManifest(textOf(input), FILE),
  },
  {
    name: 'dataset',
    share: 1,
    words: ['"file":"../x"'],
    inputs: [
      Buffer.concat([Buffer.from([0]), json(MANIFEST)]),
      Buffer.concat([Buffer.from([1]), Buffer.from(Uint16Array.from([1, 2, 3, 4]).buffer)]),
      Buffer.concat([Buffer.from([2]), INDEX]),
    ],
    decode: readDataset,
  },
  {
    name: 'config',
    share: 3,
    words: ['*m', '&m', '<<: *m', '- ', '? ', '!!binary ', '---\n', '%YAML 9.9\n', '| ', 'samples: 65536'],
    inputs: [Buffer.from(CONFIG), Buffer.from('data: d\nwindow: 5\n')],
    decode: readConfig,
  },
  {
    name: 'override',
    share: 5,
    words: ['=', '.', '[', '{a: '],
    inputs: ['model.heads=8', 'optimizer.clipNorm=null', 'a=[1, 2]'].map((text) => Buffer.from(text)),
    decode: (input) => parseOverride(textOf(input)),
  },
  {
    name: 'tokenizer',
    share: 2,
    words: ['"id":', '"type":"WordPiece"', '"merges":[]', '"special":true', '"type":"Sequence"'],
    inputs: [json(TOKENIZER), json({ ...TOKENIZER, pre_tokenizer: null })],
    decode: readTokenizer,
  },
  {
    name: 'tokenizer-config',
    share: 3,
    words: ['"content":'],
    inputs: [json({ pad_token: '<pad>', eos_token: { content: '</s>' }, mask_token: null })],
    decode: (input) => parseTokenizer(JSON.stringify(TOKENIZER), textOf(input), FILE),
  },
  {
    name: 'model-config',
    share: 8,
    words: ['"encoder_layers":', '"model_type":"pegasus"'],
    inputs: [json(toHuggingFace(MODEL)), json(toHuggingFace({ ...MODEL, norm: 'pre' }))],
    decode: readModelConfig,
  },
  {
    name: 'records',
    share: 8,
    words: ['\t', '\n', '"text":', '"source":', '\r\n'],
    inputs: ['{"text":"a b"}\n{"text":"c"}\n', 'a\tb\nc\td\n', '{"source":"a","target":"b"}\n'].map((text) =>
      Buffer.from(text),
    ),
    decode: (input) => {
      for (const [format, pairs] of [
        ['jsonl', false],
        ['jsonl', true],
        ['tsv', true],
        ['text', false],
      ] as const) {
        parsePiece({ ...piece, bytes: input, format } as Parameters<typeof parsePiece>[0], {
          pairs,
          field: 'text',
          heldOutShare: 0.5,
        });
      }
    },
  },
  {
    name: 'public-keys',
    share: 3,
    words: ['lockstep-public-', 'lockstep-secret-', '#', '\n'],
    inputs: [
      Buffer.from(`${publicKeyText(keys.publicKey)} name\n\n# a remark\n${publicKeyText(keys.publicKey)}\n`),
    ],
    decode: (input) => parsePublicKeys(textOf(input), FILE),
  },
  {
    name: 'secret-key',
    share: 3,
    words: ['lockstep-public-', 'lockstep-secret-', '#', '\n'],
    inputs: [Buffer.from(`# a remark\n${secretKeyText(keys.secretKey)}\n`)],
    decode: (input) => parseSecretKey(textOf(input), FILE),
  },
];
