/** Platforms: what a node runs, what an index offers, and whether they match. */
import { RegistryError } from './errors.ts';

/** Always normalised: no variant `v8` for `arm64` or `v1` for `amd64`, and no old names of architectures. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

const ARCHITECTURE_ALIASES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  i386: '386',
  aarch64: 'arm64',
  armhf: 'arm',
  armel: 'arm',
};
const BASE_VARIANT: Readonly<Record<string, string>> = { amd64: 'v1', arm64: 'v8' };
const PART = /^[A-Za-z0-9_.-]{1,64}$/;

/**
 * `os/arch[/variant]`, for example `linux/arm/v7`.
 * @throws RegistryError with reason `Invalid`
 */
export function parsePlatform(text: string): Platform {
  const [os = '', architecture = '', variant, ...rest] = text.split('/');
  const parts = variant === undefined ? [os, architecture] : [os, architecture, variant];
  if (rest.length > 0 || !parts.every((part) => PART.test(part))) {
    throw new RegistryError(
      `${JSON.stringify(text.slice(0, 80))} is not a platform (os/arch or os/arch/variant)`,
      {
        reason: 'Invalid',
      },
    );
  }
  return normalisePlatform(os, architecture, variant);
}

export function formatPlatform(platform: Platform): string {
  const base = `${platform.os}/${platform.architecture}`;
  return platform.variant === undefined ? base : `${base}/${platform.variant}`;
}

export function normalisePlatform(os: string, architecture: string, variant?: string): Platform {
  const lower = architecture.toLowerCase();
  const arch = ARCHITECTURE_ALIASES[lower] ?? lower;
  const name = variant === undefined || variant === BASE_VARIANT[arch] ? '' : variant.toLowerCase();
  const base = { os: os.toLowerCase(), architecture: arch };
  return Object.freeze(name === '' ? base : { ...base, variant: name });
}

/**
 * Whether a node of the wanted platform may run what is offered. Without a variant, the node may be of any,
 * since Kubernetes does not label nodes with it; with a variant, the node also runs lower ones.
 */
export function platformMatches(wanted: Platform, offered: Platform): boolean {
  if (wanted.os !== offered.os || wanted.architecture !== offered.architecture) return false;
  if (wanted.variant === undefined || wanted.variant === offered.variant) return true;
  const [want, offer] = [variantNumber(wanted), variantNumber(offered)];
  return want !== undefined && offer !== undefined && offer <= want;
}

function variantNumber(platform: Platform): number | undefined {
  const variant = platform.variant ?? BASE_VARIANT[platform.architecture] ?? 'v7';
  const [, number] = /^v([0-9]{1,3})$/.exec(variant) ?? [];
  return number === undefined ? undefined : Number(number);
}
