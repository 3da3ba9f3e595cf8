// Rows of logits as probabilities: the log-softmax and the largest entries, shared by every way of decoding.

/** Writes log softmax(logits) to `out` (same length; sums in float64). An entry of -Infinity keeps probability 0. */
export function logSoftmax(logits: Float32Array, out: Float64Array): void {
  let maximum = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > maximum) maximum = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - maximum);
  const logSum = Math.log(sum);
  for (let i = 0; i < logits.length; i++) out[i] = logits[i]! - maximum - logSum;
}

/** log softmax(logits)[index], without the other entries. */
export function logProbabilityOf(logits: Float32Array, index: number): number {
  let maximum = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > maximum) maximum = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - maximum);
  return logits[index]! - maximum - Math.log(sum);
}

/** Index of the largest value; of equal ones the first. */
export function argMax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/**
 * Indices of the `count` largest values, largest first; of equal values the one with the lower index comes
 * first. Entries of -Infinity are never returned, so the result may be shorter.
 */
export function largest(values: ArrayLike<number>, count: number): number[] {
  if (count <= 0) return [];
  const heap: number[] = []; // the weakest of the chosen at the root
  const weaker = (a: number, b: number): boolean =>
    values[a]! < values[b]! || (values[a] === values[b] && a > b);
  for (let i = 0; i < values.length; i++) {
    if (values[i] === -Infinity) continue;
    if (heap.length < count) {
      heap.push(i);
      siftUp(heap, weaker);
    } else if (weaker(heap[0]!, i)) {
      heap[0] = i;
      siftDown(heap, weaker);
    }
  }
  return heap.sort((a, b) => (weaker(a, b) ? 1 : -1));
}

type Order = (a: number, b: number) => boolean;

function siftUp(heap: number[], before: Order): void {
  let child = heap.length - 1;
  while (child > 0) {
    const parent = (child - 1) >> 1;
    if (!before(heap[child]!, heap[parent]!)) return;
    swap(heap, child, parent);
    child = parent;
  }
}

function siftDown(heap: number[], before: Order): void {
  let parent = 0;
  for (;;) {
    let first = parent;
    for (const child of [2 * parent + 1, 2 * parent + 2]) {
      if (child < heap.length && before(heap[child]!, heap[first]!)) first = child;
    }
    if (first === parent) return;
    swap(heap, parent, first);
    parent = first;
  }
}

function swap(heap: number[], a: number, b: number): void {
  const kept = heap[a]!;
  heap[a] = heap[b]!;
  heap[b] = kept;
}
