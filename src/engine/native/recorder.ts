// The recording of a forward and backward: what a backend was asked for, and the memory that this took.
import type { TensorInfo } from '@tensorflow/tfjs';
import type { OnFinal, Recording, Repeat } from '../recording.js';
import type { Loss } from '../reverse.js';
import type { Floats } from './addon.js';
import type { Block } from './allocator.js';

/** Hears what is asked of a backend. */
export interface CallObserver {
  /** A call was asked for; `again` asks for it once more, with what the same arguments then hold. */
  asked(again: () => void): void;
  /** Memory was handed out for what comes of a call. */
  took(block: Block): void;
  /** Somebody wants to know what was computed, or given. */
  read(): void;
}

/** What a recorder needs of a backend. */
export interface RecordedBackend {
  observe(observer: CallObserver | null): void;
  readonly blocks: {
    borrow(blocks: ReadonlySet<Block>): boolean;
    giveBack(blocks: ReadonlySet<Block>): void;
  };
  /** Calls that wait are made. */
  settle(): void;
  /** Reads a scalar out of its memory, also when the tensor has ended and what is there has been computed again. */
  reader(scalar: TensorInfo): () => number;
}

export class Recorder implements Recording {
  private readonly steps: ((onFinal: OnFinal) => void)[] = [];
  private readonly blocks = new Set<Block>();
  private isNoting = true;
  private hasRead = false;

  constructor(private readonly backend: RecordedBackend) {
    backend.observe({
      asked: (again) => {
        if (this.isNoting) this.steps.push(again);
      },
      took: (block) => {
        if (this.isNoting) this.blocks.add(block);
      },
      read: () => {
        if (this.isNoting) this.hasRead = true;
      },
    });
  }

  final(index: number, gradient: Floats | null, onFinal: OnFinal): void {
    this.steps.push((handOut) => handOut(index, gradient));
    this.isNoting = false;
    try {
      onFinal(index, gradient);
    } finally {
      this.isNoting = true;
    }
  }

  finish({ loss, correct }: Loss): Repeat | null {
    this.end(); // before the loss is read, which must not count
    if (this.hasRead) return null;
    const { steps, blocks, backend } = this;
    const [readLoss, readCorrect] = [backend.reader(loss), backend.reader(correct)];
    return (onFinal) => {
      backend.settle(); // what an abandoned step left
      if (!backend.blocks.borrow(blocks)) return undefined;
      try {
        for (const step of steps) step(onFinal);
        backend.settle();
        return { loss: readLoss(), correct: readCorrect() };
      } finally {
        backend.blocks.giveBack(blocks);
      }
    };
  }

  end(): void {
    this.backend.observe(null);
  }
}
