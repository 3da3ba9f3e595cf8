// The recording of a forward and backward: what a backend was asked for, and the memory that this took. The addon keeps the calls of
// kernels by itself, so that a repetition costs JavaScript a few calls for hundreds of kernels.
import type { TensorInfo } from '@tensorflow/tfjs';
import { assert } from '../../util/errors.js';
import type { DropoutKey } from '../kernels.js';
import type { OnFinal, Recording, Repeat } from '../recording.js';
import type { Loss } from '../reverse.js';
import type { Addon, Floats, KeptCalls } from './addon.js';
import { type Block, Loan } from './allocator.js';
import { addKernels, type Steps } from './steps.js';

/** Hears what is asked of a backend. */
export interface CallObserver {
  /** A kernel was asked for, with these arguments. */
  kernel(given: readonly unknown[]): void;
  /** Something else was; `again` asks for it once more, with what the same arguments then hold. */
  asked(again: () => void): void;
  /** Memory was handed out for what comes of a call. */
  took(block: Block): void;
  /** Somebody wants to know what was computed, or given. */
  read(): void;
}

/** Kernels' calls that the addon keeps, and their arguments: it has only pointers into those. */
export interface KeptKernels {
  readonly calls: KeptCalls;
  readonly held: (readonly unknown[])[];
}

/** What a recorder needs of a backend. */
export interface RecordedBackend {
  readonly addon: Pick<Addon, 'makeKeptCalls' | 'keepCalls' | 'renewCalls'>;
  observe(observer: CallObserver | null): void;
  readonly blocks: {
    borrow(loan: Loan): boolean;
    giveBack(): void;
  };
  /** Asks for `count` kernels once more, from the `first`. */
  repeatKernels(kernels: KeptKernels, first: number, count: number): void;
  /** Calls that wait are made. */
  settle(): void;
  /** Reads a scalar out of its memory, also when the tensor has ended and what is there has been computed again. */
  reader(scalar: TensorInfo): () => number;
}

export class Recorder implements Recording {
  private readonly steps: Steps<(onFinal: OnFinal) => void> = [];
  private readonly kernels: KeptKernels;
  private readonly loan = new Loan();
  private isNoting = true;
  private hasRead = false;

  constructor(private readonly backend: RecordedBackend) {
    this.kernels = { calls: backend.addon.makeKeptCalls(), held: [] };
    backend.addon.keepCalls(this.kernels.calls);
    backend.observe({
      kernel: (given) => {
        if (!this.isNoting) return;
        this.kernels.held.push(given);
        addKernels(this.steps, 1);
      },
      asked: (again) => {
        if (this.isNoting) this.steps.push(again);
      },
      took: (block) => {
        if (this.isNoting) this.loan.add(block);
      },
      read: () => {
        if (this.isNoting) this.hasRead = true;
      },
    });
  }

  final(index: number, gradient: Floats | null, onFinal: OnFinal): void {
    this.steps.push((handOut) => handOut(index, gradient));
    this.isNoting = false;
    this.backend.addon.keepCalls(null);
    try {
      onFinal(index, gradient);
    } finally {
      this.backend.addon.keepCalls(this.kernels.calls);
      this.isNoting = true;
    }
  }

  finish({ loss, correct }: Loss): Repeat | null {
    this.end(); // before the loss is read, which must not count
    if (this.hasRead) return null;
    const { loan, backend } = this;
    const [readLoss, readCorrect] = [backend.reader(loss), backend.reader(correct)];
    return (key, onFinal) => {
      backend.settle(); // what an abandoned step left
      if (!backend.blocks.borrow(loan)) return undefined;
      try {
        this.ask(key, onFinal);
        backend.settle();
        return { loss: readLoss(), correct: readCorrect() };
      } finally {
        backend.blocks.giveBack();
      }
    };
  }

  end(): void {
    this.backend.observe(null);
    this.backend.addon.keepCalls(null);
  }

  private ask(key: DropoutKey, onFinal: OnFinal): void {
    const { backend, kernels } = this;
    const kept = backend.addon.renewCalls(kernels.calls, key);
    assert(kept === kernels.held.length, 'the addon kept other calls than were noted');
    let asked = 0;
    for (const step of this.steps) {
      if (typeof step === 'function') step(onFinal);
      else {
        backend.repeatKernels(kernels, asked, step);
        asked += step;
      }
    }
  }
}
