// What messages of a session carry, and whether it is of the conversation that its receiver is in.

export interface Envelope {
  /** One worker process's stay. */
  readonly session: string;
  /** Incarnation of the coordinator. */
  readonly term: number;
}

/** Whether a message is of this session and term; `session`: the one that its connection belongs to, if any. */
export function isOfSession(message: Envelope, session: string | undefined, term: number): boolean {
  return session !== undefined && message.session === session && message.term === term;
}
