// A lock file that holds its owner's process id, so that one left behind by a killed process is recognised.
// Node built-ins only.

import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** The process's id, and where the system tells it its start, which no later process of that id shares. */
function identity(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return `${pid} ${fields[19]}`;
  } catch {
    return `${pid}`;
  }
}

function isAlive(owner) {
  const pid = Number(owner.split(' ')[0]);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  return identity(pid) === owner;
}

function readOwner(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** Links our file to the lock's name, which fails if there is one: it is never seen half written. */
function tryLink(own, file) {
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    return tryCreate(file, readFileSync(own, 'utf8')); // a file system without hard links
  }
}

function tryCreate(file, content) {
  try {
    writeFileSync(file, content, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Waits until `file` is ours; `onWait` hears once whose it is. Returns the function that gives it back, which is
 * safe to call in an exit handler and more than once.
 */
export async function acquireLock(file, onWait) {
  const me = identity(process.pid);
  const own = `${file}.${process.pid}`;
  writeFileSync(own, me);
  try {
    for (let waited = false; !tryLink(own, file);) {
      const owner = readOwner(file);
      if (owner === null) continue;
      if (!isAlive(owner)) {
        removeStale(file, owner, own);
        await delay(5);
        continue;
      }
      if (!waited) onWait(owner.split(' ')[0]);
      waited = true;
      await delay(200);
    }
  } finally {
    rmSync(own, { force: true });
  }
  return () => {
    if (readOwner(file) === me) rmSync(file, { force: true });
  };
}

/**
 * Removes the lock of a dead owner. Only one process at a time may, and it looks again once it may: otherwise a late
 * one would remove the lock of whoever came first.
 */
function removeStale(file, owner, own) {
  const claim = `${file}.removing`;
  if (!tryLink(own, claim)) {
    const claimer = readOwner(claim);
    if (claimer !== null && !isAlive(claimer)) rmSync(claim, { force: true });
    return;
  }
  if (readOwner(file) === owner) rmSync(file, { force: true });
  rmSync(claim, { force: true });
}
