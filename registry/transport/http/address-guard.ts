/** Addresses that an upstream's name must not lead to: those of this machine, its link and its cloud. */
import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { RegistryError } from '../../core/errors.ts';
import { unbracketed } from '../../core/host.ts';

const REFUSED_CIDRS: readonly string[] = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16', // link-local, and the metadata service of most clouds
  '100.100.100.200', // metadata, Alibaba
  '168.63.129.16', // wire server, Azure
  '192.0.0.192', // metadata, Oracle
  '224.0.0.0/4',
  '240.0.0.0/4',
  'fe80::/10',
  'fd00:ec2::254', // metadata, AWS
  'ff00::/8',
  // IPv4 addresses in disguise: compatible (`::` and `::1` among them), translated, NAT64 and 6to4.
  '::/96',
  '::ffff:0:0:0/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '2002::/16',
];

const REFUSED = blockListOf(REFUSED_CIDRS);

/** Whether a connection to the address may be opened. */
export type AddressGuard = (address: string) => boolean;

/** @param allowed addresses and CIDRs that an administrator permits nevertheless */
export function createAddressGuard(allowed: readonly string[]): AddressGuard {
  const exceptions = blockListOf(allowed);
  return (address) => {
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    return !REFUSED.check(address, family) || exceptions.check(address, family);
  };
}

/**
 * A name lookup that yields permitted addresses only, so the address that was checked is the one connected
 * to.
 */
export function guardedLookup(guard: AddressGuard): LookupFunction {
  return (hostname, options, callback) => {
    dnsLookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error) {
        callback(error, '');
        return;
      }
      const [first, ...rest] = addresses.filter(({ address }) => guard(address));
      if (first === undefined) callback(addressRefused(hostname), '');
      else if (options.all === true) callback(null, [first, ...rest]);
      else callback(null, first.address, first.family);
    });
  };
}

/**
 * Checks a host that is given as an address. Node does not look those up, so `guardedLookup` never sees them.
 * @throws RegistryError with reason `Forbidden`
 */
export function checkLiteralAddress(
  { hostname, host }: Pick<URL, 'hostname' | 'host'>,
  guard: AddressGuard | undefined,
): void {
  const address = unbracketed(hostname);
  if (guard !== undefined && isIP(address) !== 0 && !guard(address)) throw addressRefused(host);
}

function addressRefused(host: string): RegistryError {
  return new RegistryError(
    `${host} is at an address of this machine or its cloud, where no upstream may be`,
    { reason: 'Forbidden' },
  );
}

function blockListOf(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = '', prefix] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}
