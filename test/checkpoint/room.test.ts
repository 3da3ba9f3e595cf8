import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { DiskFolder } from '../../src/checkpoint/disk-folder.js';
import { roomIn } from '../../src/checkpoint/room.js';
import { openS3 } from '../../src/checkpoint/s3-open.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

test('room is that of the file system a folder lies on, and is not known in a store or where nothing is', async (t) => {
  const directory = await temporaryDirectory(t);
  const room = await roomIn(new DiskFolder(directory));
  assert.ok(room && room.sizeBytes > 0 && room.freeBytes <= room.sizeBytes, JSON.stringify(room));
  assert.equal(await roomIn(new DiskFolder(path.join(directory, 'none'))), null);
  assert.equal(await roomIn(openS3('s3://bucket/run')), null);
});
