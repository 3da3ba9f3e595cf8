// A process that runs training steps when asked: see bench/peers/. It stays warm between questions, so that several
// can be measured in turn.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { z } from 'zod';

/** What an error message quotes of a process that failed. */
const QUOTED_LINES = 12;

const description = z.object({ version: z.string(), parameters: z.int().positive() });
const answer = z.object({
  /** Of each step. */
  seconds: z.array(z.number()),
  /** The most memory that it ever had resident. */
  peakBytes: z.number(),
  /** Of all steps together, longest first; only this engine's process tells. */
  kernels: z.array(z.object({ name: z.string(), calls: z.number(), seconds: z.number() })).optional(),
  /** The share of a step in which a device may have waited for the host; only this engine's process on one tells. */
  waitShare: z.number().optional(),
});
export type PeerDescription = z.infer<typeof description>;
export type PeerAnswer = z.infer<typeof answer>;

export interface PeerCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** Beside the environment of this process. */
  readonly environment: Readonly<Record<string, string>>;
}

export class Peer {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string, undefined>;
  private errorOutput = '';

  private constructor({ program, args, environment }: PeerCommand, signal: AbortSignal) {
    const child = spawn(program, args, {
      stdio: 'pipe',
      env: { ...process.env, ...environment },
      signal,
      killSignal: 'SIGKILL',
    });
    // Its output ends either way, and reading it tells; writing to one that is gone is no news then.
    child.on('error', (error) => (this.errorOutput += `${error.message}\n`));
    child.stdin.on('error', () => undefined);
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.errorOutput += text));
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.child = child;
  }

  /** Resolves once the process is warm. */
  static async start(
    command: PeerCommand,
    signal: AbortSignal,
  ): Promise<{ peer: Peer; description: PeerDescription }> {
    const peer = new Peer(command, signal);
    try {
      return { peer, description: description.parse(await peer.read()) };
    } catch (error) {
      await peer.close();
      throw error;
    }
  }

  async run(steps: number): Promise<PeerAnswer> {
    this.child.stdin!.write(`${JSON.stringify({ steps })}\n`);
    return answer.parse(await this.read());
  }

  /** Ends the process, whatever it does. */
  async close(): Promise<void> {
    if (this.child.pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null)
      return;
    const closed = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await closed;
  }

  private async read(): Promise<unknown> {
    const line = await this.lines.next();
    if (line.done !== true) return JSON.parse(line.value);
    const quoted = this.errorOutput.trimEnd().split('\n').slice(-QUOTED_LINES).join('\n');
    throw new Error(`${this.child.spawnargs.join(' ')} ended early; its last words:\n${quoted}`);
  }
}
