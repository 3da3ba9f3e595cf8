// What a process has used so far, thread by thread, as Linux tells it.
import { readdirSync, readFileSync } from 'node:fs';

/** Seconds of CPU. */
export interface CpuUsage {
  /** Of the main thread, of ZeroMQ's I/O threads, and of all. */
  readonly main: number;
  readonly io: number;
  readonly all: number;
}

const TICKS_PER_SECOND = 100;

export function cpuOf(pid: number): CpuUsage {
  const folder = `/proc/${pid}/task`;
  const threads = readdirSync(folder).map((id) => {
    const stat = readFileSync(`${folder}/${id}/stat`, 'utf8');
    const name = /\((.*)\)/.exec(stat)![1]!;
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const seconds = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    return { id: Number(id), name, seconds };
  });
  const sum = (of: typeof threads): number => of.reduce((total, { seconds }) => total + seconds, 0);
  const isIo = ({ name }: { name: string }): boolean => name.startsWith('ZMQbg');
  return {
    main: sum(threads.filter(({ id }) => id === pid)),
    io: sum(threads.filter(isIo)),
    all: sum(threads),
  };
}

/** What the process has in memory now. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, 'VmRSS');
}

/** The most that it ever had in memory. */
export function peakResidentBytes(pid: number): number {
  return statusBytes(pid, 'VmHWM');
}

function statusBytes(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
}
