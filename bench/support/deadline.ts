// Keeps a benchmark within its time: a part is begun only if one as long as the longest so far would fit.

export class Deadline {
  private readonly startedAt = performance.now();
  private longestMs = 0;

  constructor(private readonly budgetSeconds: number) {}

  allows(): boolean {
    return performance.now() - this.startedAt + this.longestMs <= this.budgetSeconds * 1000;
  }

  async time(part: () => Promise<void>): Promise<void> {
    const startedAt = performance.now();
    await part();
    this.longestMs = Math.max(this.longestMs, performance.now() - startedAt);
  }
}
