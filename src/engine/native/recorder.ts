// The recording of a forward and backward: what the backend's queue was asked for, and the memory that this took.
import type { OnFinal, Recording, Repeat } from '../recording.js';
import type { Loss } from '../reverse.js';
import type { Floats } from './addon.js';
import type { Block } from './allocator.js';
import type { NativeBackend } from './backend.js';

/** The parts of a backend that tell the recorder what happens. */
type Recorded = Pick<NativeBackend, 'queue' | 'allocator' | 'floats'>;

export class Recorder implements Recording {
  private readonly steps: ((onFinal: OnFinal) => void)[] = [];
  private readonly blocks = new Set<Block>();
  private isNoting = true;
  private hasRead = false;

  constructor(private readonly backend: Recorded) {
    backend.queue.observer = this;
    backend.allocator.handedOut = this.blocks;
  }

  /** The queue was asked for a call, which `again` asks for. */
  asked(again: () => void): void {
    if (this.isNoting) this.steps.push(again);
  }

  /** Somebody looks at a tensor's values. */
  read(): void {
    if (this.isNoting) this.hasRead = true;
  }

  final(index: number, gradient: Floats | null, onFinal: OnFinal): void {
    this.steps.push((onFinal) => onFinal(index, gradient));
    this.isNoting = false;
    try {
      onFinal(index, gradient);
    } finally {
      this.isNoting = true;
    }
  }

  finish({ loss, correct }: Loss): Repeat | null {
    this.end();
    if (this.hasRead) return null;
    const { steps, blocks } = this;
    const { queue, allocator } = this.backend;
    const [lossMemory, correctMemory] = [this.backend.floats(loss), this.backend.floats(correct)];
    return (onFinal) => {
      if (!allocator.areFree(blocks)) return undefined;
      queue.run(); // what an abandoned step left
      for (const step of steps) step(onFinal);
      queue.run();
      return { loss: lossMemory[0]!, correct: correctMemory[0]! };
    };
  }

  end(): void {
    this.backend.queue.observer = null;
    this.backend.allocator.handedOut = null;
  }
}
