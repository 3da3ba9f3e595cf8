// Which node of which computation: comparisons of NodeIds, and a NodeId out of a message that carries one.
import { nodeKey, type TreeNode } from './tree.js';

/** A node of one computation of one step. */
export interface NodeId extends TreeNode {
  readonly step: number;
  readonly round: number;
}

/** The NodeId alone of whatever carries its fields. */
export function nodeIdOf({ step, round, level, index }: NodeId): NodeId {
  return { step, round, level, index };
}

/** As a map key. */
export function nodeIdKey(node: NodeId): string {
  return `${node.step}/${node.round}/${nodeKey(node)}`;
}

export function sameNodeId(a: NodeId, b: NodeId): boolean {
  return a.step === b.step && a.round === b.round && a.level === b.level && a.index === b.index;
}

/** A computation of a step. */
type Round = Pick<NodeId, 'step' | 'round'>;

/** Whether `a` is of an earlier step than `b`, or of an earlier computation of the same step. */
export function isEarlier(a: Round, b: Round): boolean {
  return a.step < b.step || (a.step === b.step && a.round < b.round);
}
