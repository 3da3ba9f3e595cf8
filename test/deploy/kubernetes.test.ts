// What is given to Kubernetes: the Helm chart, rendered by helm itself, and the files for JobSet and Kubeflow Trainer. Every
// object is valid by the schema of its kind, and has no key that the schema does not know. No test has a cluster.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { packageRoot } from '../../src/util/package.js';
import { writeKeyPair } from '../../src/transport/key-files.js';
import { faultOfCall } from '../docs/command-line.js';
import { withoutRoot } from '../support/root.js';
import { validate, type KubernetesObject } from './kubernetes-schemas.js';

const require = createRequire(import.meta.url);
const chart = path.join(packageRoot, 'deploy/kubernetes/lockstep');

interface Workload extends KubernetesObject {
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

interface PodSpec {
  readonly securityContext: {
    readonly runAsNonRoot: boolean;
    readonly runAsUser: number;
    readonly fsGroup: number;
  };
  readonly containers: readonly Container[];
  readonly volumes: readonly { readonly name: string; readonly secret?: { readonly defaultMode: number } }[];
}

interface Container {
  readonly args: readonly string[];
  readonly securityContext: { readonly readOnlyRootFilesystem: boolean };
  readonly resources: { readonly limits: Readonly<Record<string, unknown>> };
}

const missing = spawnSync('unzip', ['-v']).error && 'needs unzip: apt-get install unzip';

describe('the Helm chart', { skip: missing ?? false }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'lockstep-helm-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  // A package that carries helm, which npm and Debian have not by itself.
  const layer = path.join(path.dirname(require.resolve('@aws-cdk/asset-kubectl-v20')), 'layer.zip');
  spawnSync('unzip', ['-q', layer, 'helm/helm', '-d', folder]);

  function helm(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    const flat = ['template', 'demo', chart, '--kube-version', '1.30.0', ...args];
    return spawnSync(path.join(folder, 'helm/helm'), flat, { encoding: 'utf8' });
  }

  function render(...args: string[]): Workload[] {
    const { status, stdout, stderr } = helm(...args);
    assert.equal(status, 0, stderr);
    return parseAllDocuments(stdout, { version: '1.1' }) // as kubectl reads it
      .map((document) => document.toJS() as Workload | null)
      .filter((object) => object !== null);
  }

  const withSecret = ['--set', 'keys.existingSecret=lockstep-keys'];
  const withAll = [
    ...[
      '--set',
      'workers.gpus=1',
      '--set',
      'workers.engine=tensorflow',
      '--set',
      'serviceMonitor.enabled=true',
    ],
    ...['coordinator.key', 'coordinator.pub', 'worker.key', 'worker.pub'].flatMap((file) => [
      '--set',
      `keys.files.${file.replace('.', '\\.')}=text`,
    ]),
  ];

  test('renders objects that are valid and have no unknown keys', async () => {
    assert.equal(render(...withSecret).length, 6);
    const objects = render(...withAll);
    assert.ok(
      objects.some(({ kind }) => kind === 'Secret') && objects.some(({ kind }) => kind === 'ServiceMonitor'),
    );
    for (const object of [...objects, ...render(...withSecret)]) await validate(object);
  });

  test('runs commands that the command line takes, without rights, on a file system that is only read', async () => {
    for (const { kind, spec } of render(...withAll).filter(({ kind }) =>
      /^(StatefulSet|Deployment)$/.test(kind),
    )) {
      const pod = spec.template.spec;
      assert.ok(pod.securityContext.runAsNonRoot, kind);
      for (const { args, securityContext, resources } of pod.containers) {
        assert.equal(await faultOfCall(args), null, args.join(' '));
        assert.ok(securityContext.readOnlyRootFilesystem);
        if (kind === 'Deployment') assert.equal(resources.limits['nvidia.com/gpu'], 1);
      }
    }
  });

  test(
    'mounts keys as the loader of keys takes them',
    { skip: withoutRoot('to give a file to another user') },
    async (t) => {
      const keys = mkdtempSync(path.join(tmpdir(), 'lockstep-secret-'));
      t.after(() => rmSync(keys, { recursive: true, force: true }));
      chmodSync(keys, 0o755);
      const { secretFile } = await writeKeyPair(keys, 'coordinator');
      const loader = new URL('../../src/transport/key-files.js', import.meta.url).href;
      /** Reads the key as the pod's user does, from a file as the kubelet makes it: of root, for the group `fsGroup`. */
      const read = ({ runAsUser: uid, fsGroup }: PodSpec['securityContext'], mode: number): string => {
        chownSync(secretFile, 0, fsGroup);
        chmodSync(secretFile, mode);
        const drop = `process.setgroups([]); process.setgid(${fsGroup}); process.setuid(${uid});`;
        const script = `const { readKeyPair } = await import('${loader}'); ${drop} readKeyPair('${secretFile}');`;
        const node = ['--input-type=module', '--eval', script];
        return spawnSync(process.execPath, node, { encoding: 'utf8' }).stderr;
      };
      const pods = render(...withSecret).filter(({ kind }) => /^(StatefulSet|Deployment)$/.test(kind));
      for (const { kind, spec } of pods) {
        const { securityContext, volumes } = spec.template.spec;
        const { defaultMode } = volumes.find(({ name }) => name === 'keys')!.secret!;
        assert.equal(read(securityContext, defaultMode), '', kind);
        assert.match(read(securityContext, 0o444), /KEY_EXPOSED/, 'what Kubernetes mounts by default');
      }
      assert.equal(pods.length, 2);
    },
  );

  test('is refused without keys, and with a value that is misspelt', () => {
    assert.match(helm().stderr, /keys\.existingSecret, or keys\.files/);
    assert.match(helm(...withSecret, '--set', 'workers.replica=3').stderr, /replica/);
  });

  test('a key that Kubernetes does not know would be found', async () => {
    const object = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'a' },
      spec: { clusterIp: 'None' },
    };
    await assert.rejects(validate(object), /spec\.clusterIp/);
  });
});

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
    readonly template: { readonly spec: { readonly template: { readonly spec: PodSpec } } };
  }[];
}

describe('the files for JobSet and Kubeflow Trainer', () => {
  test('hold objects that are valid and have no unknown keys', async () => {
    for (const name of ['jobset.yaml', 'kubeflow/runtime.yaml', 'kubeflow/trainjob.yaml'])
      await validate(objectIn(name));
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
