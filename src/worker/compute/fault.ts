// What a worker does wrong on purpose (`lockstep worker --fault`), so that tests and benchmarks can see what becomes of it.
import { UserError } from '../../util/errors.js';

export type Fault =
  /** Every micro-batch takes so much longer. */
  | { readonly kind: 'sleep'; readonly ms: number }
  /** From this step on, every gradient has one bit flipped. */
  | { readonly kind: 'flip'; readonly step: number }
  /** The gradient of this micro-batch of this step is not finite. */
  | { readonly kind: 'overflow'; readonly step: number; readonly microBatch: number };

/** A bit of the mantissa that the 16-bit wire keeps. */
const FLIPPED_BIT = 1 << 22;

/** @throws UserError FAULT_INVALID */
export function parseFault(text: string): Fault {
  const [kind, ...rest] = text.split(':');
  const numbers = rest.map(Number);
  const areCounts = rest.every((part) => /^\d+$/.test(part));
  const [first = 0, second = 0] = numbers;
  if (areCounts && kind === 'sleep' && numbers.length === 1) return { kind, ms: first };
  if (areCounts && kind === 'flip' && numbers.length === 1) return { kind, step: first };
  if (areCounts && kind === 'overflow' && numbers.length === 2) {
    return { kind, step: first, microBatch: second };
  }
  throw new UserError(
    'FAULT_INVALID',
    `--fault: expected sleep:MS, flip:STEP or overflow:STEP:MICROBATCH, got "${text}"`,
  );
}

/** Falsifies the gradient of a parameter in place; `offset` is its first element's. */
export function falsify(
  fault: Fault | null,
  at: { readonly step: number; readonly microBatch: number },
  offset: number,
  gradient: Float32Array | null,
): void {
  if (!fault || !gradient || offset !== 0) return;
  if (fault.kind === 'flip' && at.step >= fault.step) {
    new Uint32Array(gradient.buffer, gradient.byteOffset, 1)[0]! ^= FLIPPED_BIT;
  }
  if (fault.kind === 'overflow' && at.step === fault.step && at.microBatch === fault.microBatch) {
    gradient[0] = Infinity;
  }
}

/** Takes the time that a slow worker takes more. */
export function pause(fault: Fault | null): void {
  if (fault?.kind !== 'sleep') return;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, fault.ms);
}
