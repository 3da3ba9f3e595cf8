// The files for kubectl: the claim and the pod that fills it, JobSet and Kubeflow Trainer. Every object is valid by the schema of
// its kind, and has no key that the schema does not know. No test has a cluster.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { ExitCode } from '../../src/cli/output.js';
import { packageRoot } from '../../src/util/package.js';
import { faultOfCall } from '../docs/command-line.js';
import type { PodSpec } from './kubernetes-objects.js';
import { validate, type KubernetesObject } from './kubernetes-schemas.js';

/** A file of deploy/kubernetes, as kubectl reads it. */
function fileOf(name: string): string {
  return readFileSync(path.join(packageRoot, 'deploy/kubernetes', name), 'utf8');
}

function objectFrom<T = KubernetesObject>(text: string): T {
  return parse(text, { version: '1.1' }) as T;
}

function objectIn<T = KubernetesObject>(name: string): T {
  return objectFrom(fileOf(name));
}

interface JobSetSpec {
  readonly replicatedJobs: readonly {
    readonly name: string;
    readonly template: { readonly spec: JobSpec };
  }[];
}

interface JobSpec {
  readonly backoffLimit: number;
  readonly podFailurePolicy?: { readonly rules: readonly FailureRule[] };
  readonly template: { readonly spec: PodSpec };
}

interface FailureRule {
  readonly action: string;
  readonly onPodConditions?: readonly { readonly type: string; readonly status: string }[];
  readonly onExitCodes?: {
    readonly containerName: string;
    readonly operator: string;
    readonly values: readonly number[];
  };
}

describe('the claim and the pod that fills it', () => {
  test('are valid, and have no unknown keys', async () => {
    for (const name of ['claim.yaml', 'loader.yaml']) await validate(objectIn(name));
    await assert.rejects(validate(objectFrom(fileOf('loader.yaml').replace('claimName', 'claim'))), /claim/);
  });

  test('are the claim that all name, mounted as the user whose coordinator reads it', () => {
    const { metadata } = objectIn('claim.yaml');
    const loader = objectIn<{ readonly spec: PodSpec }>('loader.yaml').spec;
    const [coordinator] = objectIn<{ readonly spec: JobSetSpec }>('jobset.yaml').spec.replicatedJobs;
    const pod = coordinator!.template.spec.template.spec;
    assert.deepEqual(loader.securityContext, pod.securityContext);
    assert.deepEqual(loader.containers[0]!.securityContext, pod.containers[0]!.securityContext);
    for (const file of ['loader.yaml', 'jobset.yaml', 'kubeflow/runtime.yaml']) {
      const claims = [...fileOf(file).matchAll(/claimName: ([\w-]+)/g)].map(([, name]) => name);
      assert.deepEqual(claims, [metadata.name], file);
    }
  });
});

describe('the files for JobSet and Kubeflow Trainer', () => {
  test('hold objects that are valid and have no unknown keys', async () => {
    for (const name of ['jobset.yaml', 'kubeflow/runtime.yaml', 'kubeflow/trainjob.yaml'])
      await validate(objectIn(name));
  });

  test('a podFailurePolicy that Kubernetes would refuse would be found', async () => {
    for (const [from, to, told] of [
      ['restartPolicy: Never', 'restartPolicy: OnFailure', /wants restartPolicy: Never/],
      ['containerName: coordinator', 'containerName: node', /not there: node/],
      ['onExitCodes', 'onExitCode', /onExitCode/],
    ] as const) {
      await assert.rejects(validate(objectFrom(fileOf('jobset.yaml').replace(from, to))), told);
    }
  });

  test("JobSet ends when the coordinator refuses its config, and counts no maintenance; workers' codes decide nothing", () => {
    const jobs = objectIn<{ readonly spec: JobSetSpec }>('jobset.yaml').spec.replicatedJobs;
    const [coordinator, worker] = jobs.map(({ template }) => template.spec);
    const { restartPolicy, containers } = coordinator!.template.spec;
    assert.equal(restartPolicy, 'Never');
    assert.ok(!containers[0]!.args.includes('--stay'), 'it ends with the run');
    // The first rule that fits decides: a coordinator that is drained while it refuses is tried again.
    const [maintenance, refusal] = coordinator!.podFailurePolicy!.rules;
    assert.deepEqual(maintenance, {
      action: 'Ignore',
      onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }],
    });
    assert.deepEqual(refusal, {
      action: 'FailJob',
      onExitCodes: { containerName: containers[0]!.name, operator: 'In', values: [ExitCode.user] },
    });
    assert.equal(worker!.template.spec.restartPolicy, 'OnFailure');
    assert.equal(worker!.podFailurePolicy, undefined);
  });

  test('are done with a volume that belongs to their group, however many files it has', () => {
    const jobSets = [
      objectIn<{ readonly spec: JobSetSpec }>('jobset.yaml').spec,
      objectIn<{ readonly spec: { readonly template: { readonly spec: JobSetSpec } } }>(
        'kubeflow/runtime.yaml',
      ).spec.template.spec,
    ];
    for (const { template } of jobSets.flatMap(({ replicatedJobs }) => replicatedJobs))
      assert.equal(template.spec.template.spec.securityContext.fsGroupChangePolicy, 'OnRootMismatch');
  });

  test('a key that JobSet or Kubeflow Trainer does not know would be found', async () => {
    for (const [file, from, to, told] of [
      ['jobset.yaml', 'successPolicy', 'sucessPolicy', /sucessPolicy/],
      ['jobset.yaml', 'backoffLimit', 'backofLimit', /backofLimit/],
      ['kubeflow/runtime.yaml', 'succeededIndexes', 'succededIndexes', /succededIndexes/],
      ['kubeflow/trainjob.yaml', 'numNodes', 'nodes', /nodes/],
      ['kubeflow/trainjob.yaml', 'configMap', 'configmap', /configmap/],
    ] as const) {
      await assert.rejects(validate(objectFrom(fileOf(file).replace(from, to))), told);
    }
  });

  test("JobSet's coordinator and workers run commands that the command line takes, and meet", async () => {
    const { metadata, spec } = objectIn<KubernetesObject & { readonly spec: JobSetSpec }>('jobset.yaml');
    for (const { template } of spec.replicatedJobs) {
      const pod = template.spec.template.spec;
      assert.ok(
        pod.securityContext.runAsNonRoot && pod.containers[0]!.securityContext.readOnlyRootFilesystem,
      );
      assert.equal(await faultOfCall(pod.containers[0]!.args), null);
    }
    const worker = spec.replicatedJobs[1]!.template.spec.template.spec.containers[0]!;
    assert.equal(worker.args[1], `tcp://${metadata.name}-coordinator-0-0.${metadata.name}:7117`);
  });

  test("Kubeflow's first node trains with a worker of its own, and the others work for it", async (t) => {
    const bin = mkdtempSync(path.join(tmpdir(), 'lockstep-bin-'));
    t.after(() => rmSync(bin, { recursive: true, force: true }));
    writeFileSync(path.join(bin, 'lockstep'), '#!/bin/sh\nprintf "%s\\n" "$@"\n', { mode: 0o755 });
    const runtime = objectIn<{ readonly spec: { readonly template: { readonly spec: JobSetSpec } } }>(
      'kubeflow/runtime.yaml',
    );
    const [job] = runtime.spec.template.spec.replicatedJobs;
    const [script] = job!.template.spec.template.spec.containers[0]!.args;
    const callOf = async (index: number): Promise<string[]> => {
      const env = {
        PATH: `${bin}:${process.env['PATH']}`,
        ...{
          JOB_COMPLETION_INDEX: String(index),
          JOBSET_NAME: 'moby',
          POD_NAME: 'moby-node-0',
          THREADS: '4',
        },
      };
      const { stdout, stderr } = spawnSync('sh', ['-c', script!], { encoding: 'utf8', env });
      const args = stdout.trim().split('\n');
      assert.equal(await faultOfCall(args), null, stdout + stderr);
      return args;
    };
    assert.deepEqual((await callOf(0)).slice(0, 3), ['train', '/config/run.yaml', '--run=/runs/moby']);
    assert.deepEqual((await callOf(5)).slice(0, 2), ['worker', `tcp://moby-${job!.name}-0-0.moby:7117`]);
  });
});
