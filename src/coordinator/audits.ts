// The audit of one computation of a step: some nodes are computed by two workers, and the hashes of what reducers received
// from both, and the losses, must be equal. Where they differ others are asked until two agree; who differs from them is faulty.
import { createHash } from 'node:crypto';
import { encodeStats, type BatchStats } from '../protocol/stats.js';
import { nodeKey, type TreeNode } from '../protocol/tree.js';

/** A worker as it is here now. One that comes back under another session is no second witness. */
export interface Auditor {
  readonly session: string;
  readonly worker: string;
  /** Only workers that compute the same bits can be compared. */
  readonly fingerprint: string;
}

/** What one session made of a node. */
interface Result {
  readonly worker: string;
  /** By reducer. */
  readonly hashes: Map<number, string>;
  losses: string | undefined;
  /** All of it, once all of it is known: equal for equal results only. */
  digest: string | undefined;
}

interface Audit {
  readonly node: TreeNode;
  readonly fingerprint: string;
  /** By session, of those that compute it now or have computed it. */
  readonly results: Map<string, Result>;
  /** How often a session's lease was taken back: it is asked again only in a dispute, and only once. */
  readonly excused: Map<string, number>;
}

/** How an audit ended: `faulty` are those who differ from two that agree. */
export interface Verdict {
  readonly node: TreeNode;
  readonly outcome: 'equal' | 'different' | 'undecided' | 'abandoned';
  /** All sessions whose results are known; and of them who is wrong. */
  readonly compared: readonly string[];
  readonly faulty: readonly string[];
}

/**
 * Whether a node is to be audited: a pure function of a key that no worker knows, so that none can tell beforehand when it
 * is watched.
 */
export function isAudited(
  { share, key }: { share: number; key: string },
  step: number,
  node: TreeNode,
): boolean {
  if (share === 0) return false;
  const hash = createHash('sha256')
    .update(`${key}/${step}/${nodeKey(node)}`)
    .digest();
  return hash.readUInt32BE(0) < share * 2 ** 32;
}

export class Audits {
  private readonly audits = new Map<string, Audit>();

  constructor(private readonly reducers: number) {}

  /** Nothing is waited for. */
  get settled(): boolean {
    return this.audits.size === 0;
  }

  has(node: TreeNode): boolean {
    return this.audits.has(nodeKey(node));
  }

  /** A node that is audited was leased. */
  leased({ session, worker, fingerprint }: Auditor, node: TreeNode): void {
    const key = nodeKey(node);
    const audit = this.audits.get(key) ?? { node, fingerprint, results: new Map(), excused: new Map() };
    audit.results.set(session, { worker, hashes: new Map(), losses: undefined, digest: undefined });
    this.audits.set(key, audit);
  }

  hashed(session: string, node: TreeNode, reducer: number, hash: string): void {
    const result = this.resultOf(session, node);
    result?.hashes.set(reducer, hash);
    if (result) this.complete(result);
  }

  computed(session: string, node: TreeNode, stats: readonly BatchStats[]): void {
    const result = this.resultOf(session, node);
    if (!result) return;
    result.losses = Buffer.from(encodeStats(stats)).toString('hex');
    this.complete(result);
  }

  isComplete(session: string, node: TreeNode): boolean {
    return this.resultOf(session, node)?.digest !== undefined;
  }

  /** The worker will not finish the node: its lease was taken back, or it is gone. */
  drop(session: string, node: TreeNode): void {
    const audit = this.audits.get(nodeKey(node));
    if (!audit || this.isComplete(session, node)) return;
    audit.results.delete(session);
    audit.excused.set(session, (audit.excused.get(session) ?? 0) + 1);
    if (audit.results.size === 0) this.audits.delete(nodeKey(node)); // whoever is leased the node next begins anew
  }

  release(session: string): void {
    for (const { node } of this.audits.values()) this.drop(session, node);
  }

  /** Nodes that one more worker has to compute, and which workers may. */
  wanted(): { node: TreeNode; mayCompute: (auditor: Auditor) => boolean }[] {
    return [...this.audits.values()]
      .filter((audit) => this.isShort(audit))
      .map((audit) => ({
        node: audit.node,
        mayCompute: (auditor) => this.mayCompute(audit, auditor),
      }));
  }

  /** Ends the audits that can be ended. `auditors`: all that could be asked. */
  takeVerdicts(auditors: readonly Auditor[]): Verdict[] {
    const verdicts: Verdict[] = [];
    for (const [key, audit] of this.audits) {
      const verdict = this.verdictOf(audit, auditors);
      if (!verdict) continue;
      this.audits.delete(key);
      verdicts.push(verdict);
    }
    return verdicts;
  }

  private verdictOf(audit: Audit, auditors: readonly Auditor[]): Verdict | undefined {
    const { node } = audit;
    const groups = this.groups(audit);
    const compared = groups.flat();
    const agreeing = groups.find((group) => workersOf(audit, group) >= 2);
    if (agreeing) {
      const faulty = compared.filter((session) => !agreeing.includes(session));
      return { node, outcome: faulty.length === 0 ? 'equal' : 'different', compared, faulty };
    }
    const canAsk = auditors.some((auditor) => this.mayCompute(audit, auditor));
    if (!this.isShort(audit) || canAsk) return undefined;
    return { node, outcome: groups.length > 1 ? 'undecided' : 'abandoned', compared, faulty: [] };
  }

  private mayCompute(audit: Audit, auditor: Auditor): boolean {
    if (auditor.fingerprint !== audit.fingerprint) return false;
    const isDispute = this.groups(audit).length > 1; // without another the run has to end
    if ((audit.excused.get(auditor.session) ?? 0) > (isDispute ? 1 : 0)) return false;
    return [...audit.results.values()].every(({ worker }) => worker !== auditor.worker);
  }

  /** Whether those who compute the node now are too few for two to agree. */
  private isShort(audit: Audit): boolean {
    const groups = this.groups(audit);
    const largest = Math.max(0, ...groups.map((group) => workersOf(audit, group)));
    const done = new Set(groups.flat().map((session) => audit.results.get(session)!.worker));
    const computing = [...audit.results.values()].filter(
      ({ digest, worker }) => !digest && !done.has(worker),
    );
    return largest + computing.length < 2;
  }

  /** Sessions with equal results, together. */
  private groups(audit: Audit): string[][] {
    const byDigest = new Map<string, string[]>();
    for (const [session, { digest }] of audit.results) {
      if (digest === undefined) continue;
      const group = byDigest.get(digest);
      if (group) group.push(session);
      else byDigest.set(digest, [session]);
    }
    return [...byDigest.values()];
  }

  private complete(result: Result): void {
    const { hashes, losses } = result;
    if (losses === undefined || hashes.size < this.reducers) return;
    result.digest = [losses, ...[...hashes].sort(([a], [b]) => a - b).map(([, hash]) => hash)].join('/');
  }

  private resultOf(session: string, node: TreeNode): Result | undefined {
    return this.audits.get(nodeKey(node))?.results.get(session);
  }
}

/** How many workers these sessions are. */
function workersOf({ results }: Audit, sessions: readonly string[]): number {
  return new Set(sessions.map((session) => results.get(session)!.worker)).size;
}
