// The rate of a step's matrix products alone, by oneDNN on one thread: the ceiling that a step is compared with. A program of
// its own computes them (bench/peers/onednn_products.cc), where the library is installed to build it.
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { z } from 'zod';
import { packageRoot } from '../../src/util/package.js';
import { AnsweringProcess } from './answering-process.js';
import { median } from './statistics.js';
import type { ProductMeter } from './step-comparison.js';
import type { TorchPrecision } from './arms.js';
import { linearFlops, linearShapes, type LinearShape, type StepWorkload } from './step-workload.js';

const SOURCE = `${packageRoot}bench/peers/onednn_products.cc`;
const PROGRAM = `${packageRoot}build/onednn-products`;

let compiled: Promise<unknown> | undefined;

export class OneDnnRate implements ProductMeter {
  /** Per shape a value for each measurement. */
  private readonly seconds: number[][];

  private constructor(
    private readonly process: AnsweringProcess,
    private readonly shapes: readonly LinearShape[],
    readonly ceiling: string,
  ) {
    this.seconds = shapes.map(() => []);
  }

  /** Resolves once the program is warm. Throws where it does not compile, which is where oneDNN is not installed. */
  static async start(
    workload: StepWorkload,
    precision: TorchPrecision,
    signal: AbortSignal,
  ): Promise<OneDnnRate> {
    await (compiled ??= compile(signal));
    const shapes = linearShapes(workload);
    const args = [precision, ...shapes.map(({ m, k, n }) => `${m},${k},${n}`)];
    const process = new AnsweringProcess({ program: PROGRAM, args, environment: {} }, signal);
    const version = await process.line();
    return new OneDnnRate(process, shapes, `the step's linear products by ${version}, of one thread`);
  }

  /** Once through all shapes. */
  async measure(): Promise<void> {
    const measured = z.array(z.number()).parse(JSON.parse(await this.process.ask('')));
    measured.forEach((value, i) => this.seconds[i]!.push(value));
  }

  /** FLOP a second over the linear layers' products of a step, each shape with its share of them. */
  get flopsPerSecond(): number {
    const flops = this.shapes.reduce((sum, shape) => sum + linearFlops(shape), 0);
    const seconds = this.shapes.reduce((sum, { count }, i) => sum + count * median(this.seconds[i]!), 0);
    return flops / seconds;
  }

  close(): Promise<void> {
    return this.process.close();
  }
}

function compile(signal: AbortSignal): Promise<unknown> {
  mkdirSync(`${packageRoot}build`, { recursive: true });
  const flags = ['-std=c++17', '-O2', SOURCE, '-o', PROGRAM, '-ldnnl', '-lgomp'];
  return promisify(execFile)(process.env['CXX'] ?? 'g++', flags, { signal });
}
