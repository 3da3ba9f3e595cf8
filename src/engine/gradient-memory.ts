// Where gradients are summed: in the memory that the engine computes in. What is summed reaches the host's memory, from which it
// is sent, by `deliver`.
import type { Addon, Floats } from './native/addon.js';
import type { NativeBackend } from './native/backend.js';

export interface GradientMemory {
  /** Memory for `elements` float32 numbers, their values undefined, kept until the process ends. */
  allocate(elements: number): Floats;
  /** The memory whose content `deliver` brings to `host`: that itself where the engine computes on the host. */
  sourceOf(host: Float32Array): Floats;
  part(vector: Floats, offset: number, size: number): Floats;
  /** Does nothing where both are the same memory. */
  copy(to: Floats, from: Floats): void;
  zero(vector: Floats): void;
  /** out = a + b; `bfloat16`: rounded to that. */
  add(out: Floats, a: Floats, b: Floats, size: number, bfloat16: boolean): void;
  roundToBfloat16(vector: Floats, size: number): void;
  /** Brings elements [start, end) of sourceOf(host), as they are now, to `host`, and then calls `arrived`. */
  deliver(host: Float32Array, start: number, end: number, arrived: () => void): void;
  /** Calls `arrived` for what has been delivered meanwhile; `wait`: for everything. */
  settle(wait: boolean): void;
}

/** The host's memory, of the native engine: all of it waits in the order of the kernels' calls. */
export function queuedGradients({
  queue,
  kernels,
}: Pick<NativeBackend, 'queue' | 'kernels'>): GradientMemory {
  const memory = hostGradients(kernels);
  return {
    ...memory,
    copy(to: Float32Array, from: Float32Array) {
      if (!isSame(to, from)) queue.push(() => to.set(from));
    },
    zero: (vector) => queue.push(() => memory.zero(vector)),
    deliver: (_host, _start, _end, arrived) => queue.push(arrived),
    settle(wait) {
      if (wait) queue.run();
    },
  };
}

export type HostArithmetic = Pick<Addon, 'add' | 'roundToBfloat16'>;

function isSame(a: Float32Array, b: Float32Array): boolean {
  return a.buffer === b.buffer && a.byteOffset === b.byteOffset;
}

/** The host's memory. */
export function hostGradients({ add, roundToBfloat16 }: HostArithmetic): GradientMemory {
  return {
    allocate: (elements) => new Float32Array(elements),
    sourceOf: (host) => host,
    part: (vector: Float32Array, offset: number, size: number) => vector.subarray(offset, offset + size),
    copy(to: Float32Array, from: Float32Array) {
      if (!isSame(to, from)) to.set(from);
    },
    zero: (vector: Float32Array) => void vector.fill(0),
    add,
    roundToBfloat16,
    deliver: (_host, _start, _end, arrived) => arrived(),
    settle: () => undefined,
  };
}
