// Who a process is, in words that outlive it: enough to tell later, on the same machine, whether it still runs.
// A process id alone is not: ids are reused, containers have id spaces of their own, and machines reboot.

import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { z } from 'zod';
import { processExists } from '../util/exists.js';

export const ownerSchema = z.object({
  host: z.string(),
  /** /etc/machine-id, or empty. */
  machineId: z.string(),
  /** Changes with every boot; empty where the system does not tell. */
  bootId: z.string(),
  /** Process ids mean something only within one of these; empty where there is none. */
  pidNamespace: z.string(),
  pid: z.int().positive(),
  /** Clock ticks from boot to the process's start, as the kernel prints them; empty where there is no /proc. */
  startTime: z.string(),
});

export type Owner = Readonly<z.infer<typeof ownerSchema>>;

/** `unknown`: it runs, or ran, where this process cannot look. */
export type Liveness = 'alive' | 'dead' | 'unknown';

async function textOf(reading: Promise<string>): Promise<string> {
  return (await reading.catch(() => '')).trim();
}

/** State letter and start time from /proc/PID/stat; null when there is no such process (or no /proc). */
async function processStat(pid: number): Promise<{ state: string; startTime: string } | null> {
  const text = await textOf(readFile(`/proc/${pid}/stat`, 'utf8'));
  // Field 2, the command in parentheses, may hold spaces and parentheses; fields 3 and 22 come after its end.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  const startTime = fields[19];
  return state && startTime ? { state, startTime } : null;
}

/** This process. */
export async function thisOwner(): Promise<Owner> {
  const [machineId, bootId, pidNamespace, stat] = await Promise.all([
    textOf(readFile('/etc/machine-id', 'utf8')),
    textOf(readFile('/proc/sys/kernel/random/boot_id', 'utf8')),
    textOf(readlink('/proc/self/ns/pid')),
    processStat(process.pid),
  ]);
  return {
    host: hostname(),
    machineId,
    bootId,
    pidNamespace,
    pid: process.pid,
    startTime: stat?.startTime ?? '',
  };
}

/** Whether `owner` still runs, as seen from the process `self`. */
export async function liveness(owner: Owner, self: Owner): Promise<Liveness> {
  if (owner.bootId !== self.bootId) {
    // The same machine under another boot id has rebooted, and nothing of before runs. A host name alone does not make
    // it the same: containers on different machines may share one.
    const sameMachine =
      owner.host === self.host && owner.machineId === self.machineId && self.machineId !== '';
    return sameMachine ? 'dead' : 'unknown';
  }
  if (owner.bootId === '' && owner.host !== self.host) return 'unknown';
  if (owner.pidNamespace !== self.pidNamespace) return 'unknown';
  const stat = await processStat(owner.pid);
  if (stat === null) return processExists(owner.pid) ? 'alive' : 'dead';
  const ended = stat.state === 'Z' || stat.state === 'X';
  const reused = owner.startTime !== '' && owner.startTime !== stat.startTime;
  return ended || reused ? 'dead' : 'alive';
}

/**
 * Whether that very process runs and is not suspended, as seen from the process `self`: it renews its term, and nobody need
 * watch whether it does. Never true where the system does not tell when a process started: its id may be another's by now.
 */
export async function isAtWork(owner: Owner, self: Owner): Promise<boolean> {
  if ((await liveness(owner, self)) !== 'alive') return false;
  const stat = await processStat(owner.pid);
  return stat !== null && stat.startTime === owner.startTime && !/[Tt]/.test(stat.state);
}
