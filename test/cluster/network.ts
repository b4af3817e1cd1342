/**
 * Cables: each machine hangs on a bridge of the lab by one link, which can be pulled, filtered and slowed.
 */
import type { Machine } from './machine.ts';
import type { Plan } from './slot.ts';

/**
 * Gives the machine an `eth0` with the address, on the lab's bridge; the lab's end of the link is named after
 * the machine.
 */
export async function connect(
  lab: Machine,
  machine: Machine,
  bridge: Bridge,
  address: string,
): Promise<void> {
  const link = linkName(machine.name);
  const peer = ['peer', 'name', 'eth0', 'netns', String(machine.first.pid)];
  await lab.runInNetwork(['ip', 'link', 'add', link, 'type', 'veth', ...peer]);
  await lab.runInNetwork(['ip', 'link', 'set', link, 'master', bridge.name, 'up']);
  await machine.shell(
    `ip address add ${address}/24 dev eth0; ip link set eth0 up; ip route add default via ${bridge.router}`,
  );
}

export interface Bridge {
  readonly name: 'lan' | 'internet';
  readonly router: string;
}

export function bridges(plan: Plan): { readonly lan: Bridge; readonly internet: Bridge } {
  return {
    lan: { name: 'lan', router: plan.router },
    internet: { name: 'internet', router: plan.nameServer },
  };
}

/** The kernel allows at most 15 characters. */
function linkName(machine: string): string {
  if (machine.length > 15) throw new RangeError(`a machine's name has at most 15 characters: ${machine}`);
  return machine;
}

/** Makes a node forward for its pods, and gives it routes to the pods of the others. */
export async function routePods(
  machine: Machine,
  routes: readonly { network: string; via: string }[],
): Promise<void> {
  const bridgeCalls = '/proc/sys/net/bridge/bridge-nf-call-iptables';
  await machine.shell(
    [
      'echo 1 > /proc/sys/net/ipv4/ip_forward',
      `[ ! -e ${bridgeCalls} ] || echo 1 > ${bridgeCalls}`,
      ...routes.map(({ network, via }) => `ip route add ${network} via ${via}`),
    ].join('\n'),
  );
}

/** The faults of one machine's link. Each stays until `restore`. */
export class Link {
  readonly #lab: Machine;
  readonly #machine: Machine;

  constructor(lab: Machine, machine: Machine) {
    this.#lab = lab;
    this.#machine = machine;
  }

  /** Pulls the cable. */
  async cut(): Promise<void> {
    await this.#lab.runInNetwork(['ip', 'link', 'set', linkName(this.#machine.name), 'down']);
  }

  /** Drops every packet: no answer, no refusal. */
  async blackHole(): Promise<void> {
    await this.#filter('drop', 'drop');
  }

  /** Refuses every connection at once, and resets the open ones. */
  async reject(): Promise<void> {
    await this.#filter('meta l4proto tcp reject with tcp reset');
  }

  /**
   * Limits what the machine sends to this rate. (It is a token bucket, since the kernel may lack `netem`; for
   * latency alone, add a site that answers late.)
   */
  async slow(bytesPerSecond: number): Promise<void> {
    // A burst must hold one packet, and what the rate allows between two ticks of a slow clock.
    const burst = Math.max(4096, Math.ceil(bytesPerSecond / 50));
    const shape = ['tbf', 'rate', `${bytesPerSecond}bps`, 'burst', `${burst}b`, 'latency', '60s'];
    await this.#machine.run(['tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', ...shape]);
  }

  /** Removes every fault. */
  async restore(): Promise<void> {
    await this.#machine.shell(
      'nft delete table inet fault 2>/dev/null || true; tc qdisc del dev eth0 root 2>/dev/null || true',
    );
    await this.#lab.runInNetwork(['ip', 'link', 'set', linkName(this.#machine.name), 'up']);
  }

  async #filter(arriving: string, leaving = 'accept'): Promise<void> {
    const rules = `table inet fault
delete table inet fault
table inet fault {
  chain arriving { type filter hook input priority 0; iifname eth0 ${arriving}; }
  chain leaving { type filter hook output priority 0; oifname eth0 ${leaving}; }
}
`;
    await this.#machine.run(['nft', '-f', '-'], { stdin: rules });
  }
}
