// The typed face of the C++ addon (native/addon.cc): every function it exports, and nothing else of it.
// Arrays are float32 unless said otherwise, row-major, and may lie on a SharedArrayBuffer. Activations may
// be bfloat16 where products take that; y and preActivation have one format, so have dx and `saved`, and all of an attention's.
// The addon keeps no array after a call returns, but queues and kept calls have the addresses: whoever asked keeps the arrays.
// Lengths are checked against the sizes given (a RangeError names the argument). Results do not depend on the number of threads:
// each element is summed in one fixed order.

/** Applied to a linear layer's result. `gelu` is the exact one, x Φ(x); `swish` is x σ(x). */
export const ActivationCode = { none: 0, relu: 1, gelu: 2, swish: 3 } as const;
export type ActivationCode = (typeof ActivationCode)[keyof typeof ActivationCode];

/** What matrix products take, summed in float32; see names.ts. */
export const PrecisionCode = { float32: 0, bfloat16: 1, bfloat16x3: 2, bfloat16x6: 3 } as const;
export type PrecisionCode = (typeof PrecisionCode)[keyof typeof PrecisionCode];

/** Instruction sets the kernels are compiled for, ascending; the last two multiply bfloat16, amx with an arithmetic of its own. */
export const instructionSets = ['sse2', 'avx2', 'avx512', 'avx512bf16', 'amx'] as const;
export type InstructionSet = (typeof instructionSets)[number];

export interface AddonInfo {
  /** That the kernels dispatch to. */
  readonly isa: InstructionSet;
  /** The best that this machine has and LOCKSTEP_ISA allows. */
  readonly best: InstructionSet;
  readonly compiler: string;
}

export interface AttentionShape {
  readonly batch: number; // B
  readonly queries: number; // Tq
  readonly keys: number; // Tk
  readonly heads: number; // H
  readonly headWidth: number; // D; q, k, v rows hold H * D consecutive elements
  readonly qOffset: number;
  readonly qStride: number; // elements from one query row to the next; a sample's rows are Tq apart
  readonly kOffset: number;
  readonly vOffset: number;
  readonly kvStride: number;
  readonly causal: boolean; // query i sees keys 0..i + (Tk - Tq)
  readonly precision: PrecisionCode; // of the products of queries, keys, values and probabilities
}

/** Dropout with Philox words: element i is kept where word(i) ≥ rate * 2^32 and scaled by 1 / (1 - rate). */
export interface DropoutSpec {
  readonly rate: number; // 0: none, the rest is not read
  readonly site: number;
  readonly key: { readonly seed: number; readonly step: number; readonly microBatch: number };
}

export interface AdamWSpec {
  /** Multiplies the gradient before anything else: 1 / tokens times the clip factor. */
  readonly gradientScale: number;
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled: parameters shrink by learningRate * weightDecay. */
  readonly weightDecay: number;
  /** 1 - beta1^t and 1 - beta2^t. */
  readonly correction1: number;
  readonly correction2: number;
}

/** Memory of a device: where it is, and its elements, whose format the device's operations know. */
export interface DeviceArray {
  readonly address: number;
  readonly length: number;
}

/** What operations work on: memory of their own device, which is the host for all but those of CUDA. */
export type Floats = Float32Array | DeviceArray;
export type Activations = Floats | Uint16Array;
export type Ints = Int32Array | DeviceArray;
export type Halves = Uint16Array | DeviceArray;

/** The operations: fast, naive, and those of a CUDA device. */
export interface Kernels {
  // ---- linear layers: y[M,N] = activation(x[M,K] · w[N,K]ᵀ + b[N])
  /** `b` may be null. `preActivation` [M,N] or null: where the sum before the activation is kept (for the gradient of gelu and swish). */
  linear(
    x: Activations,
    w: Floats,
    b: Floats | null,
    y: Activations,
    preActivation: Activations | null,
    m: number,
    k: number,
    n: number,
    activation: ActivationCode,
    precision: PrecisionCode,
  ): void;
  /**
   * dx[M,K] = (dy · w) * activation'(…), dw[N,K] = dyᵀ · x, db[N] = column sums of dy as products take it (or null). The activation
   * is the one that x came from, if its gradient is wanted in dx: `saved` [M,K] is then x for relu, and what went into gelu or swish.
   */
  linearGradient(
    dy: Activations,
    x: Activations,
    w: Floats,
    saved: Activations | null,
    dx: Activations,
    dw: Floats,
    db: Floats | null,
    m: number,
    k: number,
    n: number,
    activation: ActivationCode,
    precision: PrecisionCode,
  ): void;
  /** c = a · b, plain: a is [M,K] (or [K,M] when transposeA), b is [K,N] (or [N,K] when transposeB). */
  matmul(
    a: Floats,
    b: Floats,
    c: Floats,
    m: number,
    k: number,
    n: number,
    transposeA: boolean,
    transposeB: boolean,
  ): void;

  // ---- attention: out[B,Tq,H*D] = softmax(q·kᵀ / √D + mask)·v, keys at or beyond lengths[b] hidden (all hidden: zeros)
  /** q, k, v lie in `query` and `memory` (the same array in self-attention). `logSum` [B,H,Tq] is kept for the gradient. */
  attention(
    query: Activations,
    memory: Activations,
    lengths: Ints,
    out: Activations,
    logSum: Floats,
    shape: AttentionShape,
  ): void;
  /** Writes dq into `dQuery` and dk, dv into `dMemory` at the offsets and strides of `shape`. */
  attentionGradient(
    query: Activations,
    memory: Activations,
    lengths: Ints,
    out: Activations,
    logSum: Floats,
    dOut: Activations,
    dQuery: Activations,
    dMemory: Activations,
    shape: AttentionShape,
  ): void;

  // ---- residual + dropout + layer norm, rows × width d: sum = residual + dropout(x); y = norm(sum) * gamma + beta
  /**
   * `stats` [rows,2] keeps mean and 1/√(variance + epsilon). `residual` may be null (plain norm of x, rate 0), and so may
   * `operand`, which takes y once more, rounded to its format.
   */
  addDropoutNorm(
    residual: Floats | null,
    x: Activations,
    gamma: Floats,
    beta: Floats,
    sum: Floats,
    y: Floats,
    operand: Activations | null,
    stats: Floats,
    rows: number,
    width: number,
    epsilon: number,
    dropout: DropoutSpec,
  ): void;
  /**
   * `dSum` (the gradient that reaches `sum` from elsewhere) may be null, so may `dResidual`, and one of `dy` and `dOperand`,
   * which are added.
   */
  addDropoutNormGradient(
    dy: Floats | null,
    dOperand: Activations | null,
    dSum: Floats | null,
    sum: Floats,
    gamma: Floats,
    stats: Floats,
    dResidual: Floats | null,
    dx: Activations,
    dGamma: Floats,
    dBeta: Floats,
    rows: number,
    width: number,
    dropout: DropoutSpec,
  ): void;

  // ---- embedding: out[r] = dropout(table[ids[r]] * scale + positions[first + r % length])
  embedding(
    table: Floats,
    positions: Floats,
    ids: Ints,
    out: Floats,
    rows: number,
    length: number,
    first: number,
    width: number,
    scale: number,
    dropout: DropoutSpec,
  ): void;
  /** dTable[V,d] is written whole (rows not used are zero) unless `accumulate`; rows that share an id are added in row order, those of the id `padding` left out (-1: none). */
  embeddingGradient(
    dOut: Floats,
    ids: Ints,
    dTable: Floats,
    rows: number,
    vocabulary: number,
    width: number,
    scale: number,
    dropout: DropoutSpec,
    padding: number,
    accumulate: boolean,
  ): void;

  // ---- tied output product and cross-entropy over the rows that carry loss
  /**
   * logits[R,V] = hidden[rows] · tableᵀ + bias; loss = Σ cross-entropy with label smoothing (as PyTorch defines it).
   * Keeps d loss / d logits in `dLogits` [R,V] (null: not wanted). `loss` and `correct`, the number of rows whose label has the
   * largest logit, are one element each.
   */
  crossEntropy(
    hidden: Floats,
    table: Floats,
    bias: Floats,
    lossRows: Ints,
    labels: Ints,
    dLogits: Activations | null,
    loss: Floats,
    correct: Floats,
    rows: number,
    width: number,
    vocabulary: number,
    smoothing: number,
    precision: PrecisionCode,
  ): void;
  /** dHidden [hiddenRows,d] is written whole (rows without loss are zero), both times `scale`; dTable is added to when `accumulate`. */
  crossEntropyGradient(
    dLogits: Activations,
    hidden: Floats,
    table: Floats,
    lossRows: Ints,
    dHidden: Floats,
    dTable: Floats,
    hiddenRows: number,
    rows: number,
    width: number,
    vocabulary: number,
    scale: number,
    accumulate: boolean,
    precision: PrecisionCode,
  ): void;

  // ---- flat vectors: gradients, parameters and their wire formats
  /** out = a + b over `count` elements; `bfloat16`: the sum is rounded to the nearest bfloat16 (ties to even). out may be a or b. */
  add(out: Floats, a: Activations, b: Activations, count: number, bfloat16: boolean): void;
  /** Rounds every element to the nearest bfloat16, in place, NaN stays NaN. */
  roundToBfloat16(values: Floats, count: number): void;
  packBfloat16(values: Floats, out: Halves, count: number): void;
  unpackBfloat16(values: Halves, out: Floats, count: number): void;
  /** Sum of squares in float64, in a fixed order; NaN or Infinity in the input gives a non-finite result. */
  sumOfSquares(values: Floats, count: number): number;
  /**
   * One AdamW update (Loshchilov & Hutter 2019, as torch.optim.AdamW computes it) over `count` elements, in place. Elements in
   * the ranges [undecayed[2i], undecayed[2i + 1]), which ascend, do not decay.
   */
  adamW(
    parameters: Floats,
    moment1: Floats,
    moment2: Floats,
    gradient: Floats,
    count: number,
    undecayed: Int32Array,
    spec: AdamWSpec,
  ): void;
}

/** Those that give nothing back but in memory. */
export type QueuedKernels = Omit<Kernels, 'sumOfSquares'>;

export interface AddonQueue {
  /** A call checks its arguments, and waits. It has the addresses of arrays, which the caller keeps and does not detach. */
  readonly kernels: QueuedKernels;
  /** Makes the first `count` calls that wait, in their order. After one that throws none waits any more. */
  readonly run: (count: number) => void;
}

declare const keptCalls: unique symbol;
/** Calls of kernels that can be made again. */
export type KeptCalls = { readonly [keptCalls]: never };

/** What the calls of one of the addon's kernels took. */
export interface KernelTime {
  readonly name: string;
  readonly calls: number;
  readonly seconds: number;
}

export interface Addon extends Kernels {
  /** It lives as long as the thread. */
  makeQueue(): AddonQueue;
  makeKeptCalls(): KeptCalls;
  /** From now on the calls that this thread asks of queues and devices are added to `calls`; null: they are no longer kept. */
  keepCalls(calls: KeptCalls | null): void;
  /** Has them read indices again, which it checks, and take another key of dropout. None may wait in a queue meanwhile. Returns their number. */
  renewCalls(calls: KeptCalls, key: DropoutSpec['key']): number;
  /**
   * Makes `count` of them, from the `first`, once more, or has them wait in their queue. Of the arrays it has the addresses, which
   * the caller keeps and does not detach.
   */
  repeatCalls(calls: KeptCalls, first: number, count: number): void;
  /** What this thread's calls took since it was last asked; those of a queue's kernels apart. On a device, to start them. */
  kernelTimes(): KernelTime[];
  info(): AddonInfo;
  /** Threads of the process-wide pool, the caller included; 1 runs everything on the caller. */
  setThreads(threads: number): void;
  /** Chooses the best instruction set up to this one, for the whole process. Returns the one in force. */
  setIsa(isa: InstructionSet): InstructionSet;
  /** A zeroed ArrayBuffer aligned to 64 bytes. */
  allocate(bytes: number): ArrayBuffer;
  /**
   * Has memory of 2 MiB and more that nothing was written to yet lie on large pages, where the system has them. Returns at which
   * byte the first whole cache line begins.
   */
  useHugePages(bytes: Uint8Array): number;
  /**
   * Detaches the ArrayBuffer under `bytes`, whose memory goes back to its maker without waiting for a garbage collection.
   * Every view of it is empty afterwards. Shared memory is left alone.
   */
  release(bytes: Uint8Array): void;
  /** CRC-32, as zlib computes it. */
  crc32(bytes: Uint8Array): number;
  readonly cuda: CudaAddon;
  /** The same operations as plain single-threaded loops with float64 sums: what the fast ones are tested against. */
  readonly naive: Kernels;
  /** The functions kernels are made of, over whole arrays, for tests. */
  readonly elementary: {
    /** out = eˣ */
    exponential(x: Float32Array, out: Float32Array): void;
    /** out[i] = what dropout multiplies element first + i by: 0 or 1 / (1 - rate). */
    dropoutFactors(out: Float32Array, first: number, dropout: DropoutSpec): void;
  };
}

export const ArithmeticCode = { float32: 0, tf32: 1, bfloat16: 2 } as const;
/** How a CUDA device multiplies; with bfloat16 it stores activations in that format too. */
export type Arithmetic = keyof typeof ArithmeticCode;

export interface CudaInfo {
  readonly name: string;
  /** For example "sm_90". */
  readonly architecture: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** 13000 is CUDA 13.0. */
  readonly runtimeVersion: number;
  /** Of cuBLASLt. */
  readonly productVersion: number;
  /** The kernels run on the CPU, for tests. */
  readonly emulated: boolean;
}

/** One CUDA device for the process (native/cuda/device.h). Addresses are those of `allocate`, and are not checked. */
export interface CudaAddon {
  /** Loads build/lockstep-cuda.so. Returns how many devices there are. */
  load(path: string): number;
  /** Of cuBLASLt. Throws where it is not found. */
  productVersion(): number;
  open(index: number): CudaInfo;
  /** 0 when no memory is left. */
  allocate(bytes: number): number;
  release(address: number): void;
  /** Lets copies to and from this memory run at full speed, by themselves. */
  pin(host: Uint8Array): void;
  /** The bytes may be changed when it returns; those of pinned memory when what follows has run. */
  upload(address: number, host: Uint8Array): void;
  download(host: Uint8Array, address: number): void;
  /** Copies to the host beside the operations that follow; `fetched` tells how many such copies have ended. */
  fetch(host: Uint8Array, address: number): void;
  fetched(wait: boolean): number;
  zero(address: number, bytes: number): void;
  synchronise(): void;
  /**
   * Seconds since the last call in which the device may have had nothing to do, from above: the time from one piece of work to
   * the next, wherever the next found it idle. `on`: whether to go on looking.
   */
  starved(on: boolean): number;
  convert(to: number, toBfloat16: boolean, from: number, fromBfloat16: boolean, count: number): void;
  /** out = a + b */
  sum(out: number, a: number, b: number, count: number, bfloat16: boolean): void;
  operations(arithmetic: number): Kernels;
}
