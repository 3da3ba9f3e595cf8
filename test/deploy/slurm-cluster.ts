// A Slurm cluster of three nodes on this machine: munged, slurmctld and three slurmd, with all they write in one
// folder. Needs root and Debian's slurm-wlm and munge.
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { until } from '../support/until.js';

/** Why no cluster can be started here; false when one can. */
export function missingForSlurm(): string | false {
  if (process.getuid?.() !== 0) return 'needs root, to run the daemons of Slurm';
  const tools = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'srun', 'scontrol', 'setpriv'];
  const missing = tools.filter((tool) => spawnSync('which', [tool]).status !== 0);
  return missing.length > 0 && `needs ${missing.join(', ')}: apt-get install slurm-wlm munge`;
}

export class SlurmCluster {
  private readonly daemons: ChildProcess[] = [];
  private readonly nodes = new Map<string, ChildProcess>();

  private constructor(
    readonly folder: string,
    private readonly config: string,
  ) {}

  /** Starts the daemons and waits until all nodes are idle. */
  static async start(folder: string): Promise<SlurmCluster> {
    const cluster = new SlurmCluster(folder, path.join(folder, 'slurm.conf'));
    try {
      await cluster.open();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  private async open(): Promise<void> {
    chmodSync(this.folder, 0o755); // munged mistrusts a folder that is not everybody's to pass
    for (const name of ['munge', 'state', 'log', 'n1', 'n2', 'n3'])
      mkdirSync(path.join(this.folder, name), { mode: 0o755 });
    writeFileSync(path.join(this.folder, 'munge/key'), randomBytes(1024), { mode: 0o400 });
    const [controller, ...nodes] = await freePorts(4);
    writeFileSync(this.config, this.configuration(controller!, nodes));
    const munge = (name: string): string => path.join(this.folder, 'munge', name);
    this.daemon('munged', [
      ...['--foreground', '--force', `--socket=${munge('socket')}`, `--key-file=${munge('key')}`],
      ...[`--log-file=${munge('log')}`, `--pid-file=${munge('pid')}`, `--seed-file=${munge('seed')}`],
    ]);
    const credential = (): Promise<boolean> =>
      promisify(execFile)('munge', [`--socket=${munge('socket')}`, '--no-input']).then(
        () => true,
        () => false,
      );
    await until('munged', credential, () => this.logs());
    this.daemon('slurmctld', ['-D']);
    for (const node of ['n1', 'n2', 'n3']) this.startDaemonOf(node);
    const idle = async (): Promise<boolean> => {
      const states = await this.call('sinfo', ['-h', '-N', '-o', '%t']).catch(() => '');
      return states.trim() === 'idle\nidle\nidle';
    };
    await until('three idle nodes', idle, () => this.logs());
  }

  /** A node dies with all that runs on it, and the controller is told. */
  async loseNode(node: string): Promise<void> {
    const daemon = this.nodes.get(node)!;
    const ended = once(daemon, 'exit');
    daemon.kill('SIGKILL');
    await ended;
    const tasks = this.processes((environment) => environment.includes(`SLURMD_NODENAME=${node}\0`));
    const steps = tasks.map(parentOf).filter((pid) => readProcess(pid, 'cmdline').startsWith('slurmstepd'));
    for (const pid of [...steps, ...tasks]) kill(pid, 'SIGKILL');
    await this.call('scontrol', ['update', `NodeName=${node}`, 'State=DOWN', 'Reason=test']);
  }

  async startNode(node: string): Promise<void> {
    this.startDaemonOf(node);
    await this.call('scontrol', ['update', `NodeName=${node}`, 'State=RESUME']);
  }

  private configuration(controller: number, nodes: readonly number[]): string {
    const { folder } = this;
    const lines = nodes.map(
      (port, index) =>
        `NodeName=n${index + 1} NodeHostname=${hostname()} NodeAddr=127.0.0.1 Port=${port} CPUs=8`,
    );
    // A job that is queued again starts no sooner than its old credential ends, which is 2 minutes by default.
    return `
ClusterName=lockstep
SlurmctldHost=${hostname()}(127.0.0.1)
SlurmctldPort=${controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=${folder}/munge/socket,cred_expire=5
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/%n
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/%n.pid
SlurmctldLogFile=${folder}/log/slurmctld
SlurmdLogFile=${folder}/log/%n
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
KillWait=30
${lines.join('\n')}
PartitionName=all Nodes=ALL Default=YES State=UP MaxTime=INFINITE
`;
  }

  private startDaemonOf(node: string): void {
    this.nodes.set(node, this.daemon('slurmd', ['-D', '-N', node]));
  }

  private daemon(name: string, args: readonly string[]): ChildProcess {
    // Should this process be killed, they do not stay.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', name, ...args], {
      stdio: 'ignore',
      env: this.environment(),
    });
    this.daemons.push(child);
    return child;
  }

  private environment(): NodeJS.ProcessEnv {
    return { ...process.env, SLURM_CONF: this.config };
  }

  /** Runs one of Slurm's commands in the cluster's folder and returns what it prints. */
  async call(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    const options = { cwd: this.folder, env: { ...this.environment(), ...env } };
    return (await promisify(execFile)(command, args, options)).stdout;
  }

  /** Ends all jobs and daemons, and whatever they left. */
  async stop(): Promise<void> {
    const running = this.daemons.filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    );
    const ended = running.map((daemon) => once(daemon, 'exit'));
    for (const daemon of running) daemon.kill('SIGKILL');
    await Promise.all(ended);
    for (const pid of this.processes(() => true)) kill(pid, 'SIGKILL');
  }

  /** Processes of this cluster: they carry the path of its configuration in their environment. */
  processes(fits: (environment: string, command: string) => boolean): number[] {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && pid !== process.pid)
      .filter((pid) => {
        const environment = readProcess(pid, 'environ');
        return (
          environment.includes(`SLURM_CONF=${this.config}`) && fits(environment, readProcess(pid, 'cmdline'))
        );
      });
  }

  logs(): string {
    const folder = path.join(this.folder, 'log');
    return readdirSync(folder)
      .map((name) => `--- ${name}\n${readFileSync(path.join(folder, name), 'utf8').slice(-3000)}`)
      .join('\n');
  }
}

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

function readProcess(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(readProcess(pid, 'status'))?.[1] ?? 0);
}

/** Ports that nobody uses now, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0);
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
