// The objects of Kubernetes as tests read them: only what they ask for.
import type { KubernetesObject } from './kubernetes-schemas.js';

export interface Workload extends KubernetesObject {
  readonly spec: { readonly template: PodTemplate };
}

export interface PodTemplate {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: PodSpec;
}

export interface PodSpec {
  readonly automountServiceAccountToken: boolean;
  readonly serviceAccountName?: string;
  readonly imagePullSecrets?: unknown;
  readonly nodeSelector?: unknown;
  readonly tolerations?: unknown;
  readonly affinity?: unknown;
  readonly restartPolicy?: string;
  readonly securityContext: {
    readonly runAsNonRoot: boolean;
    readonly runAsUser: number;
    readonly fsGroup: number;
    readonly fsGroupChangePolicy: string;
  };
  readonly containers: readonly Container[];
  readonly volumes: readonly { readonly name: string; readonly secret?: { readonly defaultMode: number } }[];
}

export interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly envFrom?: unknown;
  readonly securityContext: { readonly readOnlyRootFilesystem: boolean };
  readonly resources?: { readonly limits?: Readonly<Record<string, unknown>> };
}
