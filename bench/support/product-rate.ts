// The rate of a step's matrix products alone, by oneDNN on one thread: the ceiling that a step is compared with. A program of
// its own computes them (bench/peers/onednn_products.cc), where the library is installed to build it.
import { execFile, spawn, type ChildProcessByStdio } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Precision } from '../../src/engine/names.js';
import { packageRoot } from '../../src/util/package.js';
import { median } from './statistics.js';
import type { ProductMeter } from './step-comparison.js';
import { linearFlops, linearShapes, type LinearShape, type StepWorkload } from './step-workload.js';

const SOURCE = `${packageRoot}bench/peers/onednn_products.cc`;
const PROGRAM = `${packageRoot}build/onednn-products`;

export class ProductRate implements ProductMeter {
  /** Per shape a value for each measurement. */
  private readonly seconds: number[][];

  private constructor(
    private readonly child: ChildProcessByStdio<Writable, Readable, null>,
    private readonly lines: AsyncIterator<string, undefined>,
    private readonly shapes: readonly LinearShape[],
    readonly ceiling: string,
  ) {
    this.seconds = shapes.map(() => []);
  }

  /** Resolves once the program is warm. Throws where it does not compile, which is where oneDNN is not installed. */
  static async start(
    workload: StepWorkload,
    precision: Precision,
    signal: AbortSignal,
  ): Promise<ProductRate> {
    mkdirSync(`${packageRoot}build`, { recursive: true });
    const compiler = process.env['CXX'] ?? 'g++';
    const flags = ['-std=c++17', '-O2', SOURCE, '-o', PROGRAM, '-ldnnl', '-lgomp'];
    await promisify(execFile)(compiler, flags, { signal });
    const shapes = linearShapes(workload);
    const args = [precision, ...shapes.map(({ m, k, n }) => `${m},${k},${n}`)];
    const child = spawn(PROGRAM, args, { stdio: ['pipe', 'pipe', 'inherit'], signal, killSignal: 'SIGKILL' });
    child.on('error', () => undefined); // its output ends then, and reading it tells
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const version = await lineOf(lines);
    return new ProductRate(child, lines, shapes, `the step's linear products by ${version}, of one thread`);
  }

  /** Once through all shapes. */
  async measure(): Promise<void> {
    this.child.stdin.write('\n');
    const measured = z.array(z.number()).parse(JSON.parse(await lineOf(this.lines)));
    measured.forEach((value, i) => this.seconds[i]!.push(value));
  }

  /** FLOP a second over the linear layers' products of a step, each shape with its share of them. */
  get flopsPerSecond(): number {
    const flops = this.shapes.reduce((sum, shape) => sum + linearFlops(shape), 0);
    const seconds = this.shapes.reduce((sum, { count }, i) => sum + count * median(this.seconds[i]!), 0);
    return flops / seconds;
  }

  close(): void {
    this.child.kill('SIGKILL');
  }
}

async function lineOf(lines: AsyncIterator<string, undefined>): Promise<string> {
  const line = await lines.next();
  if (line.done === true) throw new Error(`${PROGRAM} ended early`);
  return line.value;
}
