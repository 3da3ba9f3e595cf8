// Reads server-sent events from a URL, as browsers' EventSource does; coming back is the caller's business.
import { createParser, type EventSourceMessage } from 'eventsource-parser';

export interface ServerEvent {
  readonly name: string;
  readonly id: string | undefined;
  readonly data: unknown;
}

export interface ReadOptions {
  /** Of the last event that the caller has. */
  readonly lastEventId?: string | undefined;
  readonly signal?: AbortSignal;
}

/** Yields events until the server ends the stream; throws when it cannot be reached, answers otherwise, or breaks off. */
export async function* readEvents(url: string, options: ReadOptions = {}): AsyncGenerator<ServerEvent> {
  const { lastEventId, signal } = options;
  const response = await fetch(url, {
    headers: {
      accept: 'text/event-stream',
      ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
    },
    ...(signal && { signal }),
  });
  const type = response.headers.get('content-type') ?? 'nothing';
  if (!response.ok || !type.startsWith('text/event-stream') || !response.body) {
    await response.body?.cancel();
    throw new Error(`${url}: expected server-sent events, got ${response.status} with ${type}`);
  }
  let arrived: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => arrived.push(event) });
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    parser.feed(text);
    const events = arrived;
    arrived = [];
    for (const { event = 'message', id, data } of events)
      yield { name: event, id, data: JSON.parse(data) as unknown };
  }
}
