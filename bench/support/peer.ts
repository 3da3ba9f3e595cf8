// A process that runs training steps when asked: see bench/peers/.
import { z } from 'zod';
import { AnsweringProcess, type AnsweringCommand } from './answering-process.js';

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

export class Peer {
  private constructor(private readonly process: AnsweringProcess) {}

  /** Resolves once the process is warm. */
  static async start(
    command: AnsweringCommand,
    signal: AbortSignal,
  ): Promise<{ peer: Peer; description: PeerDescription }> {
    const process = new AnsweringProcess(command, signal);
    try {
      return { peer: new Peer(process), description: description.parse(JSON.parse(await process.line())) };
    } catch (error) {
      await process.close();
      throw error;
    }
  }

  async run(steps: number): Promise<PeerAnswer> {
    return answer.parse(JSON.parse(await this.process.ask(JSON.stringify({ steps }))));
  }

  /** Ends the process, whatever it does. */
  close(): Promise<void> {
    return this.process.close();
  }
}
