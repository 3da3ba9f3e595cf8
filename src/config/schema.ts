// What a run's YAML file may say: every key with its default, range and meaning, and the checks that
// involve several keys. Reading the file and wording its errors is load.ts's.

import { z } from 'zod';
import { engineNames, precisions } from '../engine/names.js';
import {
  choice,
  flag,
  integer,
  integerOrNull,
  integerType,
  kinds,
  number,
  numberOrNull,
  text,
  textOrNull,
  webUrlOrNull,
} from './fields.js';

const MANY = Number.MAX_SAFE_INTEGER;
const STEPS = 2 ** 32 - 1; // a step is a 32-bit word of the random counter
const MICRO_BATCHES = 65_536;
const SAMPLES = 16_384; // of a micro-batch: each has its own words of the random counter
/** What is computed at once: far more than any machine's memory has room for, and few enough to send. */
const MICRO_BATCH_TOKENS = 2 ** 20;
const THREADS = 'a whole number from 1 to 1024, or auto';

const model = z
  .strictObject({
    width: integer(
      { min: 2, max: 65_536 },
      256,
      'Width of every hidden state (d); even, a multiple of heads.',
    ),
    heads: integer({ min: 1, max: 1024 }, 4, 'Attention heads (H); a divisor of width.'),
    feedForward: integer({ min: 1, max: 262_144 }, 1024, 'Inner width of the feed-forward layers.'),
    encoderLayers: integer({ min: 1, max: 256 }, 4, 'Layers of the encoder.'),
    decoderLayers: integer({ min: 1, max: 256 }, 4, 'Layers of the decoder.'),
    dropout: number(
      { min: 0, below: 1 },
      0.1,
      'Dropout rate on embeddings and on the output of each sub-layer.',
    ),
    norm: choice(
      ['post', 'pre'],
      'post',
      'Where layer norm stands: post, after the residual, as in the paper; pre, before each sub-layer, easier to train deep.',
    ),
    activation: choice(
      ['relu', 'gelu', 'swish'],
      'relu',
      'Activation of the feed-forward layers; gelu is the exact one, swish is x · sigmoid(x), also called silu.',
    ),
    maxLength: integer(
      { min: 4, max: 65_536 },
      512,
      'Longest source or target in tokens, the end token included.',
    ),
  })
  .prefault({})
  .describe('The Transformer; its vocabulary comes with the data.');

const masked = z.strictObject({
  kind: z.literal('masked'),
  rate: number({ above: 0, below: 1 }, 0.15, 'Share of the tokens that are hidden.'),
  corruption: choice(
    ['token', 'span'],
    'token',
    'token: hide single tokens (80 % masked, 10 % random, 10 % kept); span: put one mask in the place of a whole span.',
  ),
  meanSpan: number(
    { min: 1, max: 1000 },
    3,
    'Mean length of a hidden span in tokens; read only with corruption: span.',
  ),
  loss: choice(['hidden', 'all'], 'hidden', 'Which predictions are trained: those of hidden tokens, or all.'),
});

const objective = kinds(
  'masked',
  [
    masked.describe('Restore a text in which tokens were hidden.'),
    z.strictObject({ kind: z.literal('causal') }).describe('Continue a text from its beginning.'),
    z
      .strictObject({ kind: z.literal('seq2seq') })
      .describe('Produce a target from its source, such as a translation.'),
  ],
  'What the model learns to do.',
);

const warmupSteps = integer(
  { min: 0, max: STEPS },
  100,
  'Steps over which the learning rate rises linearly to its peak.',
);

function finalRatio(byDefault: number) {
  return number({ min: 0, max: 1 }, byDefault, 'Learning rate at the last step as a share of the peak.');
}

const schedule = kinds(
  'inverse-square-root',
  [
    z
      .strictObject({ kind: z.literal('inverse-square-root'), warmupSteps })
      .describe("The paper's: after the warm-up it falls with the square root of the step."),
    z
      .strictObject({ kind: z.literal('cosine'), warmupSteps, finalRatio: finalRatio(0.1) })
      .describe('After the warm-up it falls along half a cosine until the last step.'),
    z
      .strictObject({ kind: z.literal('linear'), warmupSteps, finalRatio: finalRatio(0) })
      .describe('After the warm-up it falls linearly until the last step.'),
    z.strictObject({ kind: z.literal('constant'), warmupSteps }).describe('After the warm-up it stays.'),
  ],
  'How the learning rate changes over the steps.',
);

const optimizer = z
  .strictObject({
    learningRate: number({ above: 0, max: 10 }, 0.001, 'Peak learning rate.'),
    beta1: number({ min: 0, below: 1 }, 0.9, "Decay of AdamW's first moment."),
    beta2: number({ min: 0, below: 1 }, 0.98, "Decay of AdamW's second moment."),
    epsilon: number({ above: 0, max: 1 }, 1e-9, "Added to the root of AdamW's second moment."),
    weightDecay: number({ min: 0, max: 1 }, 0.01, 'Decoupled weight decay; biases and norms have none.'),
    clipNorm: numberOrNull(
      { above: 0 },
      1,
      "Largest global norm of a step's mean gradient; null: no clipping.",
    ),
    schedule,
  })
  .prefault({})
  .describe('AdamW and its learning rate.');

const batch = z
  .strictObject({
    microBatches: integer(
      { min: 1, max: MICRO_BATCHES },
      8,
      'Micro-batches of a step: what the workers share out. Best a power of two, whose halves are leased whole, and several for each worker, so that a slow one can take fewer.',
    ),
    samples: integer({ min: 1, max: SAMPLES }, 16, 'Samples of a micro-batch, computed at once.'),
  })
  .prefault({})
  .describe('The samples of one step: microBatches times samples, however many workers there are.');

const evaluate = z
  .strictObject({
    every: integer({ min: 1, max: STEPS }, 100, 'Steps between two validations.'),
    batches: integer({ min: 1, max: MICRO_BATCHES }, 16, 'Micro-batches of held-out data in a validation.'),
  })
  .prefault({})
  .describe('Validation on held-out data.');

const checkpoint = z
  .strictObject({
    every: integer(
      { min: 1, max: STEPS },
      100,
      'Steps between two checkpoints; the last step always has one.',
    ),
    keepLast: integer({ min: 1, max: 10_000 }, 3, 'Newest checkpoints that are kept.'),
    keepBest: flag(true, 'Whether the checkpoint with the lowest validation loss is kept as well.'),
    keepEvery: integerOrNull(
      { min: 1, max: STEPS },
      null,
      'Checkpoints whose step is a multiple of this are kept for good; null: none.',
    ),
  })
  .prefault({})
  .describe('When checkpoints are written and which are kept.');

const worker = z
  .strictObject({
    engine: choice(
      engineNames,
      'native',
      'What local workers compute with: native, or tensorflow where `lockstep setup tensorflow` has built it. Each has bits of its own.',
    ),
    threads: z
      .union([integerType({ min: 1, max: 1024 }, THREADS), z.literal('auto')], { error: THREADS })
      .default('auto')
      .describe(
        'Compute threads of a worker; auto: the cores of its machine, shared among its local workers.',
      ),
    device: choice(
      ['cpu', 'cuda'],
      'cpu',
      'Where the native engine of local workers computes; cuda: each on a GPU of its own, where the set-up found a CUDA toolkit. Each model of GPU has bits of its own.',
    ),
  })
  .prefault({})
  .describe('How a worker uses its machine; the results do not depend on its threads.');

const heartbeat = z
  .strictObject({
    intervalMs: integer({ min: 10, max: 600_000 }, 1000, 'Milliseconds between two heartbeats.'),
    timeoutMs: integer(
      { min: 50, max: 3_600_000 },
      5000,
      'Milliseconds of silence after which a worker counts as lost; at least twice `intervalMs`.',
    ),
  })
  .prefault({})
  .describe('How lost workers are noticed.');

const ownership = z
  .strictObject({
    intervalMs: integer(
      { min: 10, max: 600_000 },
      5000,
      'Milliseconds between two signs of life that a coordinator leaves in its run.',
    ),
    timeoutMs: integer(
      { min: 50, max: 3_600_000 },
      30_000,
      'Milliseconds without one after which another coordinator may take the run over; at least three times `intervalMs`.',
    ),
  })
  .prefault({})
  .describe('How a second coordinator of a run learns whether the first still lives.');

const tracking = z
  .strictObject({
    tensorboard: flag(true, 'Whether event files for TensorBoard are written to tensorboard/ of the run.'),
    mlflow: webUrlOrNull(
      'Tracking server of MLflow that is told of the run; MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD, of the environment let it in. null: none.',
    ),
    samples: integer(
      { min: 0, max: 100 },
      3,
      'Held-out samples that the model of each checkpoint is asked about, shown in TensorBoard and on the live page; 0: none.',
    ),
    experiment: text('a name', "MLflow's experiment, made when there is none.").default('lockstep'),
  })
  .prefault({})
  .describe('Experiment trackers that are told of the run beside metrics.jsonl.');

const fields = z.strictObject({
  name: text('a name', "The run's name, its folder under runs/; default: the name of the config file.")
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, {
      error: 'a name of letters, digits, dots, dashes and underscores',
    })
    .max(100, { error: 'a name of at most 100 characters' })
    .default('run'),
  seed: integer({ min: 0, max: MANY }, 1, 'Decides initial weights, order of samples, masks and dropout.'),
  data: text(
    'a folder made by `lockstep prepare`',
    'Folder made by `lockstep prepare`, absolute or relative to this file.',
  ),
  checkpoints: textOrNull(
    'a folder or s3://BUCKET/PREFIX',
    "Where the run's checkpoints are stored: a folder, absolute or relative to this file, or s3://BUCKET/PREFIX; null: the run's own folder.",
  ),
  initialise: textOrNull(
    'a folder, an s3:// URL or the name of a run',
    'Whose weights the run begins with: a run, a checkpoint or a Hugging Face model, as a folder or s3:// URL, or the name of a run in runs/; null: random ones. Read when the run begins.',
  ),
  model,
  objective,
  window: integer(
    { min: 2, max: 65_535 },
    128,
    'Tokens of a text sample, fewer than `model.maxLength`; not read by objective seq2seq, whose samples are pairs.',
  ),
  batch,
  labelSmoothing: number(
    { min: 0, below: 1 },
    0.1,
    'Share of the target probability spread over the vocabulary in training, whose loss counts it; the validation loss does not.',
  ),
  optimizer,
  steps: integer(
    { min: 1, max: STEPS },
    1000,
    'Steps of the whole run. They may be raised later, where the schedule does not end with them, and not lowered below those done.',
  ),
  evaluate,
  checkpoint,
  reducers: integer(
    { min: 1, max: 256 },
    1,
    'Threads of the coordinator that sum gradients and update parameters; the results do not depend on it.',
  ),
  precision: choice(
    precisions,
    'float32',
    'What matrix products take. bfloat16: rounded numbers, about twice as fast on AMD processors with AVX512_BF16, and several times on Intel processors with AMX. bfloat16x6 and bfloat16x3, for AMX alone: numbers as the sum of three or two bfloat16, with six or three products for one; the first is as exact as float32, the second to about 5 digits, and a step takes seven tenths or half of its time. Sums, weights, norms, softmax and loss are float32 in all of them. AMX has other bits than AVX512_BF16: see emulate.',
  ),
  emulate: flag(
    false,
    'Give products of bfloat16 the bits of AVX512_BF16 on every worker, so that all processors can train one run: without AMX, and emulated (slowly) where there is no such instruction. Otherwise workers whose processors a precision is not for are refused.',
  ),
  wire: choice(
    ['float32', 'bfloat16'],
    'float32',
    'Format of gradients between workers and reducers; bfloat16 halves the traffic and rounds every sum.',
  ),
  worker,
  hardware: choice(
    ['strict', 'relaxed'],
    'strict',
    'strict: refuse a worker whose engine or instruction set would give other bits; relaxed: count it and say so.',
  ),
  heartbeat,
  ownership,
  tracking,
  audit: number(
    { min: 0, max: 1 },
    0,
    'Share of the leases that a second worker computes as well, to compare: finds workers that compute wrongly, for as much more work. 0, the default: none.',
  ),
  auditAction: choice(
    ['expel', 'stop'],
    'expel',
    'What becomes of a worker that an audit finds wrong: expel it and compute the step again, or stop the run.',
  ),
  maxSkips: integer(
    { min: 1, max: STEPS },
    10,
    'Steps in a row that may be skipped because their gradient is not finite; then the run stops.',
  ),
});

/** The whole file. Its error messages say what was expected; `input` is what was found. */
export const runConfigSchema = fields.superRefine(checkAcrossKeys);

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** A run's config with every default filled in; paths are as written until `loadConfig` resolves them. */
export type RunConfig = DeepReadonly<z.output<typeof fields>>;

/** What a key must be in the light of others, worded to follow "expected". */
function checkAcrossKeys(config: RunConfig, context: z.RefinementCtx): void {
  const { model, objective, heartbeat, ownership } = config;
  const expect = (holds: boolean, key: string, input: unknown, message: string): void => {
    if (!holds) context.addIssue({ code: 'custom', path: key.split('.'), input, message });
  };
  expect(
    model.width % 2 === 0,
    'model.width',
    model.width,
    'an even number (positions are sines and cosines)',
  );
  expect(
    model.width % model.heads === 0,
    'model.heads',
    model.heads,
    `a divisor of model.width (${model.width})`,
  );
  if (objective.kind !== 'seq2seq') {
    expect(
      config.window < model.maxLength,
      'window',
      config.window,
      `at most ${model.maxLength - 1}: model.maxLength (${model.maxLength}) less the end token`,
    );
  }
  if (objective.kind === 'masked' && objective.corruption === 'span') {
    expect(
      objective.meanSpan <= config.window,
      'objective.meanSpan',
      objective.meanSpan,
      `at most window (${config.window})`,
    );
  }
  const sampleTokens = objective.kind === 'seq2seq' ? 2 * model.maxLength : config.window;
  const mostSamples = Math.floor(MICRO_BATCH_TOKENS / sampleTokens);
  expect(
    config.batch.samples <= mostSamples,
    'batch.samples',
    config.batch.samples,
    `at most ${mostSamples}: a micro-batch holds at most ${MICRO_BATCH_TOKENS} tokens, and a sample up to ${sampleTokens}`,
  );
  expect(
    heartbeat.timeoutMs >= 2 * heartbeat.intervalMs,
    'heartbeat.timeoutMs',
    heartbeat.timeoutMs,
    `at least twice heartbeat.intervalMs (${heartbeat.intervalMs})`,
  );
  expect(
    ownership.timeoutMs >= 3 * ownership.intervalMs,
    'ownership.timeoutMs',
    ownership.timeoutMs,
    `at least three times ownership.intervalMs (${ownership.intervalMs})`,
  );
}
