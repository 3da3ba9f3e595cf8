// The live feed of a run: folds what happens into the view and passes it on as server-sent events. A client begins with
// the whole view, or where it broke off; one that does not keep up is let go, since it can come back for the view.
import type { ServerResponse } from 'node:http';
import { fold, viewedKinds, type RunView, type TimedEvent } from './run-view.js';

/** What a client that comes back may have missed; older ones get the view. */
const MOST_KEPT = 500;
/** What may wait in this process for one client. */
const MOST_WAITING_BYTES = 1 << 20;
const MOST_CLIENTS = 100;
/** A comment in between shows a dead connection to both sides. */
const PULSE_MS = 10_000;
/** After this long a browser comes back by itself. */
const RETRY_MS = 1_000;

const viewed: ReadonlySet<string> = new Set(viewedKinds);

export class LiveFeed {
  private readonly clients = new Set<ServerResponse>();
  private readonly kept: { readonly number: number; readonly text: string }[] = [];
  private number = 0;
  private readonly pulse = setInterval(() => this.sendAll(': alive\n\n'), PULSE_MS);

  /** @param incarnation tells this feed's event ids from those of the one before a restart */
  constructor(
    public view: RunView,
    private readonly incarnation: string,
  ) {
    this.pulse.unref();
  }

  on(event: TimedEvent): void {
    if (!viewed.has(event.kind)) return;
    this.view = fold(this.view, event);
    const text = this.encode(event.kind, event, ++this.number);
    this.kept.push({ number: this.number, text });
    if (this.kept.length > MOST_KEPT) this.kept.shift();
    this.sendAll(text);
  }

  /** Answers a request for the events. `lastEventId`: of the last event that the client has, if it was here before. */
  connect(response: ServerResponse, lastEventId: string | undefined): void {
    if (this.clients.size >= MOST_CLIENTS) {
      response.writeHead(503, { 'content-type': 'text/plain; charset=utf-8' });
      response.end(`${MOST_CLIENTS} clients read along already\n`);
      return;
    }
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no', // a proxy must not collect them
    });
    this.clients.add(response);
    response.on('close', () => this.clients.delete(response));
    const missed = this.missedSince(lastEventId);
    const first = missed ?? this.encode('view', this.view, this.number);
    this.send(response, `retry: ${RETRY_MS}\n\n${first}`);
  }

  /** Ends all connections once what was sent has left. */
  close(): void {
    clearInterval(this.pulse);
    for (const client of this.clients) client.end();
  }

  /** null when it cannot be told, or is not kept any more. */
  private missedSince(lastEventId: string | undefined): string | null {
    const [incarnation, number] = lastEventId?.split('.') ?? [];
    if (incarnation !== this.incarnation || number === undefined) return null;
    const first = Number(number) + 1;
    const oldest = this.number - this.kept.length + 1;
    if (!(first >= oldest && first <= this.number + 1)) return null;
    return this.kept
      .slice(first - oldest)
      .map(({ text }) => text)
      .join('');
  }

  private encode(name: string, data: unknown, number: number): string {
    return `event: ${name}\nid: ${this.incarnation}.${number}\ndata: ${JSON.stringify(data)}\n\n`;
  }

  private sendAll(text: string): void {
    for (const client of this.clients) this.send(client, text);
  }

  private send(client: ServerResponse, text: string): void {
    client.write(text);
    if (client.writableLength > MOST_WAITING_BYTES) client.destroy();
  }
}
