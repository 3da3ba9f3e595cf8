// Virtual time: what happens next is what was planned for the earliest moment. Nothing here waits.

interface Planned {
  readonly time: number; // ms
  /** Of events planned for the same moment the first planned happens first. */
  readonly order: number;
  readonly run: () => void;
}

export class VirtualClock {
  now = 0; // ms
  /** A binary heap: the earliest event is at the front. */
  private readonly heap: Planned[] = [];
  private planned = 0;

  /** Plans something for a moment; the past means now. */
  at(time: number, run: () => void): void {
    const event = { time: Math.max(time, this.now), order: this.planned++, run };
    const { heap } = this;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (isBefore(heap[parent]!, event)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.now + delayMs, run);
  }

  /** Lets the next event happen; false when none is planned. */
  next(): boolean {
    const event = this.pop();
    if (!event) return false;
    this.now = event.time;
    event.run();
    return true;
  }

  private pop(): Planned | undefined {
    const { heap } = this;
    const [first] = heap;
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(a: Planned, b: Planned): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
